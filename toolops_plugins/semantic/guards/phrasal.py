"""Phrasal verbs and idioms by the one word that says the same (English).

Each is written in its base form; :func:`inflected` adds the others: put out, puts out, putting out,
put it out.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolops_plugins.semantic.guards.stems import PAST, forms_of

__all__ = ["inflected"]

_PHRASAL = """
extinguish: put out | scold: tell off | reject: turn down | acquire: take over | pickup: pick up
contact: get in touch with | contact: get hold of | contact: reach out to | contact: get through to
tolerate: put up with | postpone: put off | postpone: put back | postpone: push back
cancel: call off | delete: get rid of | delete: do away with | remove: take away | remove: take off
remove: take out | raise: bring up | vomit: throw up | collapse: fall down | fail: fall through
invent: make up | invent: come up with | reconcile: make up with | investigate: look into
examine: look over | admire: look up to | despise: look down on | anticipate: look forward to
search: look for | search: seek out | search: hunt for | maintain: look after
maintain: take care of | supervise: keep an eye on | monitor: keep an eye on
monitor: keep track of | continue: carry on | continue: keep on | continue: go on with
perform: carry out | execute: carry out | quit: give up | surrender: give in | distribute: hand out
distribute: give out | submit: hand in | submit: send in | submit: turn in | inherit: come into
find: come across | find: track down | find: turn up | discover: find out | discover: work out
discover: figure out | solve: work out | solve: figure out | solve: sort out | fix: sort out
organize: sort out | resemble: take after | resemble: look like | accelerate: speed up
decelerate: slow down | increase: go up | decrease: go down | decrease: cut down
decrease: bring down | reduce: cut down on | reduce: cut back on | increase: turn up
decrease: come down | expire: run out | deplete: run out of | exhaust: use up
accumulate: build up | accumulate: pile up | grow: go up in | explode: blow up | inflate: blow up
inflate: pump up | demolish: tear down | demolish: knock down | demolish: pull down
destroy: wipe out | erase: wipe out | erase: rub out | break: break down | dissolve: break up
separate: break up | separate: split up | begin: kick off | begin: start off | start: start up
start: boot up | start: fire up | restart: start over | repeat: do over | redo: do over
install: set up | establish: set up | arrange: set up | configure: set up | uninstall: take off
connect: hook up | connect: plug in | disconnect: cut off | disconnect: unplug from
charge: top up | topup: top up | fill: fill up | fill: top off | complete: fill in
complete: fill out | complete: finish off | finish: wrap up | finish: wind up | arrive: show up
arrive: turn up | arrive: come through | return: come back | return: go back | return: give back
return: send back | return: take back | return: bring back | repay: pay back | repay: pay off
refund: pay back | reimburse: pay back | receive: get back | recover: get over | recover: get back
recover: win back | survive: get through | escape: get away | escape: break out of | manage: get by
befriend: get along with | board: get on | alight: get off | rise: get up | wake: wake up
wake: get up | sleep: go to bed | sleep: fall asleep | faint: pass out | die: pass away
die: lose their life | marry: get married to | marry: get married | divorce: get divorced
dress: put on | wear: put on | wear: have on | undress: take off | try: try out | test: try out
try: have a go at | test: put to the test | choose: pick out | choose: opt for | choose: settle on
choose: go for | decide: make up my mind | decide: make a decision | prefer: would rather
exclude: leave out | omit: leave out | abandon: leave behind | forget: leave behind
throw: throw away | throw: throw out | throw: chuck out | discard: throw away
dispose: get shot of | store: put away | save: put aside | save: set aside | save: put by
invest: put into | withdraw: take out | withdraw: get out | dismiss: lay off | dismiss: let go
resign: step down | resign: hand in my notice | retire: stop working | enrol: sign up
register: sign up | register: sign up for | subscribe: sign up for | unsubscribe: opt out of
unsubscribe: opt out | unsubscribe: sign off from | participate: take part in | join: take part in
attend: go to | attend: show up at | visit: drop by | visit: stop by | visit: call on
visit: come round | dropoff: drop off | fetch: go and get | tow: tow away | move: move out
move: move in | relocate: move house | depart: set off | depart: set out | depart: take off
depart: head off | hurry: get a move on | wait: hang on | wait: hold on | delay: hold up
stop: pull over | park: pull up | reverse: back up | backup: back up | support: back up
restore: roll back | revert: roll back | revert: go back to | undo: take back | revoke: take back
deploy: roll out | release: roll out | launch: roll out | release: bring out | publish: bring out
publish: put out | write: write down | record: write down | record: note down | record: jot down
memorize: learn by heart | teach: bring up | study: read up on | review: go over
review: go through | read: go through | check: look up | search: look up | check: check up on
check: make sure | ensure: make sure | verify: make sure | check: find out whether
check: check out | explain: clear up | explain: spell out | explain: go into | clarify: clear up
summarize: sum up | summarize: boil down | discuss: talk about | discuss: talk over
mention: bring up | suggest: put forward | propose: put forward | present: put forward
argue: fall out | complain: kick up a fuss | insult: put down | ridicule: make fun of
ridicule: take the mick out of | deceive: take in | deceive: rip off | overcharge: rip off
betray: let down | disappoint: let down | disappoint: let me down | calm: calm down
relax: wind down | relax: chill out | panic: freak out | anger: tick off | anger: wind up
interrupt: cut in | interrupt: butt in | ignore: shrug off | avoid: stay away from
avoid: steer clear of | avoid: keep away from | avoid: get out of | prevent: keep from
prevent: ward off | repel: keep away | repel: keep out | block: keep out | exclude: shut out
confine: lock in | lock: lock up | imprison: lock up | imprison: put away
arrest: take into custody | report: turn in | prosecute: take to court | sue: take to court
defend: stand up for | support: stand by | represent: stand for | mean: stand for
abbreviate: be short for | assume: take for granted | endure: hold out | persist: stick at
compensate: make up for | replace: fill in for | replace: stand in for | replace: swap out
swap: swap over | exchange: swap over | trade: trade in | sell: sell off | clean: clean up
clean: clean out | clean: wipe down | clean: mop up | tidy: tidy up | tidy: clear up
wash: wash up | rinse: rinse out | dry: dry out | dry: dry off | defrost: thaw out
cool: cool down | cook: cook up | eat: eat up | devour: wolf down | dine: eat out | drink: drink up
dilute: water down | sober: dry out | exercise: work out | train: work out | exercise: warm up
stretch: reach out | lie: lie down | sit: sit down | stand: stand up | bend: bend over
fall: fall over | fall: trip over | slip: slip up | err: slip up | grow: grow up | age: get older
fatten: put on weight | slim: lose weight | heal: clear up | itch: come out in a rash
ache: play up | malfunction: play up | malfunction: act up | crash: go down | sink: go down
set: go down | drop: drop out of | quit: drop out of | fail: drop out | oversleep: sleep in
babysit: look after | adopt: take in | hang: hang up | hangup: hang up | call: call up
call: ring up | call: give a ring | call: give a call | recall: call back | callback: call back
callback: ring back | reply: get back to | reply: write back | respond: get back to
forward: pass on | transmit: pass on | notify: let know | inform: let know | alert: tip off
explode: go off | spoil: go off | spoil: go bad | rot: go bad | ring: go off | depart: go away
leave: go away | vanish: go away | disappear: go away | vanish: die out | disappear: die out
choke: choke up | clog: clog up | block: block up | unblock: clear out | empty: clear out
drain: let out | leak: give out | emit: give off | produce: churn out | draw: draw up
draft: draw up | mix: mix up | confuse: mix up | confuse: muddle up | distinguish: tell apart
differ: differ from | stir: stir up | chop: chop up | cut: cut up | slice: cut up | fold: fold up
roll: roll up | tie: tie up | tie: do up | fasten: do up | renovate: do up | redecorate: do up
unfasten: undo from | attach: put on | mount: put up | hang: put up | build: put up | erect: put up
assemble: put together | assemble: put up | compile: put together | disassemble: take apart
dismantle: take apart | dismantle: take down | merge: join up | combine: put together
unite: come together | meet: meet up | meet: get together | date: go out with | flirt: chat up
swindle: con out of | steal: make off with | rob: break into | burgle: break into
hack: break into | hack: hack into | invade: break in | access: get into | enter: get into
enter: go into | enter: come into | enter: type in | enter: key in | input: type in | input: put in
insert: put in | insert: pop in | print: print out | print: print off | scan: scan in
zoom: zoom in | enlarge: blow up | enlarge: zoom in | shrink: zoom out | shrink: scale down
enlarge: scale up | scale: scale up | highlight: pick out | indicate: point out | show: point out
notice: pick up on | overlook: miss out | sign: sign off on | approve: sign off on | allow: let in
admit: let in | admit: own up to | confess: own up to | confess: come clean about
release: let go of | forgive: let off | excuse: let off | pretend: make believe
understand: make sense of | understand: make out | decipher: make out
understand: get my head around | appreciate: be grateful for | depend: count on | rely: count on
rely: bank on | trust: count on | calculate: work out | calculate: add up | total: add up to
measure: size up | divide: split up | divide: divide up | split: split up | share: split up
earn: bring in | earn: take home | spend: fork out | pay: fork out | pay: cough up | pay: shell out
pay: stump up | owe: be in debt to | afford: have enough money for | cost: set back
bankrupt: go bust | bankrupt: go under | close: close down | close: shut down | close: shut up
open: open up | unlock: open up | expand: branch out | expand: open up | flood: fill with water
"""


def inflected() -> Iterator[tuple[str, str]]:
    """Yield every form of every phrase with the word that says the same."""
    for entry in _PHRASAL.replace("\n", "|").split("|"):
        reading, _, phrase = entry.partition(":")
        first, _, rest = phrase.strip().partition(" ")
        if not rest:
            continue
        for form in forms_of(first):
            read = (
                past_of(reading.strip()) if form in PAST or form.endswith("ed") else reading.strip()
            )
            yield f"{form} {rest}", read
            if " " not in rest:
                yield f"{form} it {rest}", read
                yield f"{form} them {rest}", read


def past_of(verb: str) -> str:
    """Return a past tense by the rule, for words that are compared by their stems."""
    return verb + "ed"[verb.endswith("e") :]
