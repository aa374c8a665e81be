"""Opposites: words that turn a question round when one stands for the other (English).

Pairs are ``one/other``; several words on a side are joined by commas, and each of one side is then
an opposite of each of the other. Inflections are left out, for words are compared by their stems.
"""

from __future__ import annotations

__all__ = ["OPPOSITES", "PARTICLE_OPPOSITES"]

PARTICLE_OPPOSITES = {
    "on": "off",
    "off": "on",
    "up": "down",
    "down": "up",
    "in": "out",
    "out": "in",
    "over": "under",
    "under": "over",
    "above": "below",
    "below": "above",
    "inside": "outside",
    "outside": "inside",
    "before": "after",
    "after": "before",
    "from": "to",
    "to": "from",
}
"""Small words and their opposites."""

OPPOSITES = """
switchon/switchoff login/logout enable/disable activate/deactivate,cancel install/uninstall
subscribe/unsubscribe,cancel lock/unlock block/unblock freeze/unfreeze,thaw mute/unmute
follow/unfollow like/hate,dislike,unlike friend/unfriend,enemy hide/show,reveal,unhide pin/unpin
archive/unarchive pack/unpack wrap/unwrap zip/unzip plug/unplug tie/untie do/undo redo/undo
dress/undress load/unload encrypt/decrypt encode/decode compress/decompress,extract,expand
connect/disconnect attach/detach assemble/disassemble,dismantle mount/unmount,dismount
approve/disapprove,reject agree/disagree appear/disappear,vanish obey/disobey
trust/distrust,mistrust qualify/disqualify continue/discontinue,stop
register/deregister,unregister,cancel commit/revert,rollback upgrade/downgrade,cancel
open/close,shut buy/sell rent/buy lend/borrow give/take,receive,get dropoff/pickup,collect,fetch
send/receive push/pull lose/find,win,gain,keep keep/discard,delete win/lose pass/fail succeed/fail
success/failure start/stop,end,finish begin/end,stop arrive/leave,depart arrival/departure
enter/exit,leave come/go rise/fall increase/decrease,reduce,lower raise/lower,reduce grow/shrink
expand/shrink,contract gain/lose add/subtract,remove,delete,deduct multiply/divide
plus/minus,times,divided addition/subtraction multiplication/division minus/times,divided
maximum/minimum maximize/minimize max/min most/least more/less,fewer greater/less,fewer,smaller
highest/lowest higher/lower high/low upper/lower top/bottom front/back,rear left/right first/last
next/previous,last before/after early/late earlier/later earliest/latest,newest old/new,young
oldest/newest,youngest older/newer,younger ancient/modern cheap/expensive,dear,costly
cheapest/dearest,priciest,costliest,expensive cheaper/pricier,dearer,costlier big/small large/small
bigger/smaller biggest/smallest largest/smallest larger/smaller huge/tiny long/short
longest/shortest longer/shorter tall/short tallest/shortest taller/shorter wide/narrow
widest/narrowest wider/narrower broad/narrow thick/thin thicker/thinner deep/shallow
deepest/shallowest heavy/light heaviest/lightest heavier/lighter fat/thin fast/slow fastest/slowest
faster/slower quick/slow near/far nearest/farthest,furthest nearer/farther,further closest/furthest
hot/cold hottest/coldest hotter/colder warm/cool,cold warmer/cooler,colder warmest/coldest
heat/cool heating/cooling summer/winter spring/autumn,fall wet/dry wettest/driest rain/sun
rainy/sunny,dry good/bad,evil better/worse best/worst right/wrong correct/incorrect,wrong
true/false positive/negative yes/no all/none always/never everything/nothing everyone/nobody
everywhere/nowhere hard/soft,easy difficult/easy hardest/easiest,softest harder/easier,softer
simple/complex,complicated strong/weak strongest/weakest stronger/weaker rich/poor richest/poorest
richer/poorer happy/sad,unhappy clever/stupid brave/cowardly safe/dangerous,unsafe
safest/deadliest,riskiest healthy/unhealthy,sick,ill clean/dirty loud/quiet,silent bright/dark,dim
light/dark day/night full/empty open_source/proprietary public/private internal/external
inside/outside indoor/outdoor inner/outer interior/exterior import/export input/output
upload/download read/write credit/debit asset/liability profit/loss income/expense,expenditure
revenue/cost,expense deposit/withdraw withdrawal/deposit pay/owe,collect earn/spend save/spend
surplus/deficit supply/demand buyer/seller employer/employee lender/borrower landlord/tenant
teacher/student interviewer/interviewee payer/payee sender/recipient,receiver doctor/patient
parent/child mother/father mom/dad brother/sister son/daughter husband/wife uncle/aunt nephew/niece
boy/girl man/woman male/female king/queen prince/princess actor/actress grandmother/grandfather
grandson/granddaughter host/guest winner/loser victim/offender,criminal plaintiff/defendant
friend/enemy ally/enemy hero/villain attack/defend,retreat offense/defense war/peace love/hate
accept/reject,refuse,decline allow/forbid,prohibit,prevent,ban permit/forbid,prohibit legal/illegal
lawful/unlawful valid/invalid active/inactive,passive visible/invisible,hidden possible/impossible
able/unable available/unavailable edible/inedible reversible/irreversible responsible/irresponsible
regular/irregular formal/informal direct/indirect complete/incomplete dependent/independent
mature/immature polite/rude,impolite patient/impatient perfect/imperfect moral/immoral
mortal/immortal finite/infinite definite/indefinite stable/unstable certain/uncertain sure/unsure
known/unknown limited/unlimited paid/unpaid,free opened/unopened married/unmarried,single,divorced
fair/unfair equal/unequal common/rare,uncommon usual/unusual lucky/unlucky familiar/unfamiliar
necessary/unnecessary wanted/unwanted stressful/relaxing optional/mandatory,required
automatic/manual temporary/permanent static/dynamic mutable/immutable synchronous/asynchronous
sync/async serial/parallel local/remote,global online/offline global/local
domestic/international,foreign national/international urban/rural city/countryside
mobile/desktop,stationary wired/wireless cordless/corded digital/analog,analogue
physical/digital,virtual virtual/physical real/fake,imaginary authentic/fake
natural/artificial,synthetic organic/inorganic raw/cooked,processed fresh/stale,frozen,rotten
sweet/sour,bitter,salty salted/unsalted ripe/unripe vegan/meat vegetarian/carnivore
caffeinated/decaf alcoholic/nonalcoholic horizontal/vertical north/south east/west
northern/southern eastern/western northeast/southwest northwest/southeast ascending/descending
ascend/descend forward/backward forwards/backwards clockwise/counterclockwise,anticlockwise
ahead/behind above/below upstairs/downstairs uphill/downhill upward/downward upstream/downstream
odd/even acid/base,alkaline conductor/insulator solid/liquid,gas melt/freeze,solidify boil/freeze
evaporate/condense absorb/emit,reflect attract/repel inhale/exhale awake/asleep wake/sleep
alive/dead live/die born/die,dead birth/death marry/divorce marriage/divorce hire/fire,dismiss
join/leave,quit employed/unemployed guilty/innocent accuse/acquit prosecution/defense,defence
attack/defense arrest/release imprison/release,free capture/release catch/throw,release
build/destroy,demolish construct/demolish create/destroy,delete improve/worsen strengthen/weaken
harden/soften tighten/loosen tight/loose lengthen/shorten widen/narrow speed/slow
accelerate/decelerate,brake hasten/delay advance/delay,retreat encourage/discourage
praise/criticize,blame reward/punish,penalize reward/punishment include/exclude inclusive/exclusive
insert/remove,extract insert/eject attach/remove inflate/deflate inflation/deflation bull/bear
bullish/bearish long/short call/put majority/minority maximum/least beginning/ending,end
introduction/conclusion prefix/suffix question/answer remember/forget remind/forget lie/truth
honest/dishonest,lying secret/public loyal/disloyal optimistic/pessimistic optimist/pessimist
introvert/extrovert liberal/conservative left_wing/right_wing majority/few many/few plenty/scarce
often/rarely,seldom frequently/rarely usually/rarely benefit/drawback,risk,harm
advantage/disadvantage pro/con cause/effect,cure,prevent,treat symptom/cause,treatment,cure
diagnosis/treatment prevention/treatment,cure prevent/cure,treat predator/prey ancestor/descendant
past/future predecessor/successor former/latter,current theory/practice abstract/concrete
subjective/objective qualitative/quantitative singular/plural wholesale/retail gross/net
fixed/variable,floating short_term/long_term nominal/real breakfast/dinner sunrise/sunset dawn/dusk
am/pm noon/midnight morning/evening weekday/weekend opening/closing checkin/checkout
embark/disembark board/alight takeoff/landing oneway/roundtrip single/double,return
economy/business smoker/nonsmoker smoking/nonsmoking stop/continue,go pause/resume,play
hide/display cover/uncover,expose bury/dig fill/empty,drain wash/dirty wet/dry iron/crease
sink/float sinking/floating stand/sit lift/lower,drop ascend/fall sharpen/blunt,dull
sharp/blunt,dull smooth/rough flexible/rigid elastic/stiff transparent/opaque simplify/complicate
maximal/minimal superior/inferior senior/junior major/minor primary/secondary professional/amateur
expert/beginner,novice graduate/undergraduate guilty/acquitted sooner/later greater/fewer
overpaid/underpaid overweight/underweight overestimate/underestimate hyper/hypo
hypertension/hypotension hyperthyroidism/hypothyroidism macro/micro
"""
"""Pairs of opposites; ``a/b,c`` says that a is an opposite of b and of c."""
