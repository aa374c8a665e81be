"""Phrases that are read as one word, or as nothing (English)."""

from __future__ import annotations

from functools import cache

from toolops_plugins.semantic.guards.expansion import expanded
from toolops_plugins.semantic.guards.phrasal import inflected

__all__ = ["Node", "phrase_words", "phrases"]

_NOTHING = """
i was wondering whether you could tell me | i was wondering if you could tell me
i was wondering if | i was wondering whether | i was wondering | i am wondering | just wondering
i would like to know | i want to know | i need to know | i wanted to know | i wish to know
i would love to know | like to know | want to know | wanted to know | need to know
i would like to ask | i want to ask | i have a question | i got a question | quick question
quick one | one question | a question about | a question regarding | my question is
could you tell me | can you tell me | would you tell me | will you tell me | please tell me
could you please tell me | can you please tell me | would you please tell me | could you explain
can you explain | could you please explain | can you please explain | explain to me
could you show me | can you show me | could you let me know | can you let me know | let me know
would you mind telling me | do you mind telling me | would you be able to tell me
are you able to tell me | would you know | do you know if | do you know whether | do you know
do you happen to know | does anyone know | does anybody know | anyone know | anybody know
any idea | any ideas | any chance you know | have you any idea | do you have any idea
i am trying to find out | i am trying to | i try to | i am looking to | i am looking for
looking for | looking to | help me with | help me to | help me | can you help me
could you help me | i need help with | i need help | need some help | need help with | need help
i need assistance | help with | i do not know how to | do not know how to | not sure how to
i am not sure how to | i am not sure if | i am not sure | not sure | i do not know | do not know
no idea | i do not understand | do not understand | i have no idea | i can not figure out
can not figure out | i can not seem to find | i can not find out | can not find out | i am unsure
unsure | i am confused about | i am curious about | i am curious | just curious | out of curiosity
tell me about | tell me | give me | show me | let me | remind me | teach me | inform me | advise me
walk me through | talk me through | if possible | if you can | if you could | if you do not mind
if i may ask | may i ask | can i ask | could i ask | thank you | thanks in advance
thank you in advance | many thanks | thanks a lot | thank you so much | good morning
good afternoon | good evening | good day | hi there | hello there | hey there | hope you are well
hope you are doing well | i hope you are well | have a nice day | excuse me | no problem
no worries | by the way | at the moment | right now | at present | these days | as of now
at this time | as soon as possible | in general | in fact | in order to | so that | so as to
as well | of course | for sure | in detail | for example | for instance | such as | and so on
or not | for me | to me | on my own | by myself | it is | is it | there is | there are | is there
are there | is it true that | is it the case that | you know | i mean | i guess | i think
i believe | i suppose | i see that | i heard that | i noticed that | i just noticed
can you believe | it seems that | it seems | it looks like | is it possible to
is it possible for me to | is there any possibility to | would it be possible to | am i able to
am i allowed to | are you allowed to | will i be able to | be able to | being able to
is there a way to | is there any way to | is there some way to | not only | no matter
why do not you | why not | can not you | could not you | would not you | will not you | right away
straight away | what do you know about | sorry to bother you but | sorry to bother you
sorry for the bother | sorry for bothering you | sorry to disturb you
if it is not too much trouble | if it is not too much to ask | if that is not too much trouble
if you would not mind | would you mind | do you mind | hope this finds you well
i hope this finds you well | i hope you are doing well | i hope you are having a good day
hope all is well | i hope all is well | i would appreciate it | i would appreciate your help
would be appreciated | much appreciated | any help is appreciated | any help would be appreciated
i would be grateful if | i would be grateful | i would appreciate it if | it would be great if
it would be nice if | when you have a minute | when you have a moment | when you have time
when you get a chance | if you have a moment | if you have a minute | if you have time
any chance you can tell me | any chance you can | any chance you could
is there any chance you can | is there any chance | is there a chance | do you think you can
do you think you could | check if | check whether | i could not help wondering | quick help
help me out | help out | out of interest | i was thinking | i have been wondering
for my understanding | to be honest | as i said | like i said | as you know | help me understand
help me find out | i would love to | i would like | i want you to | i would like you to
i need you to | to let me know | could i know | can i know | may i know | i would just like to
looking forward to your reply | looking forward to hearing from you
i look forward to hearing from you | talk to you soon | best wishes | kind regards | best regards
warm regards | with regards | yours sincerely | many regards | am i permitted to | is it ok to
is it okay to | is it allowed to | may i | is it permitted to | every time | each time
do you have information on | information about | information on | info on | info about | details on
details about | details of | what do i need to know about | what can you tell me about | a lot of
a little bit | bit of
i would/will/do appreciate some/any/your/- advice/help/guidance/information/tips on/with/about/for
i would/- like/love/need some/any/a/- advice/help/guidance/information/tips/hand on/with/about/for
can/could/would/will you please/- tell/show/teach/explain/give/help/remind/advise/inform me/us
can/could/would/will you please/- tell/show/teach/explain/give/help/remind me/us with/about/on/-
can/could/would you please/- let me/us know
can/could/would you do me a favour/favor and tell/help/show me
can/could/would you do me a favour/favor and/- | do me a favour/favor and tell/show/give me
can/could/would you point me to/towards/at
would/will/are you be/- able to tell/help/show/explain me
would/will/are you be/- able to tell/help/show me | would/are you be/- able to point me to/towards
please/kindly tell/show/give/let/help/teach/advise/inform me/us
i am/was just/- wondering/curious if/whether/about
do you guys/all/people/folks/- happen/- to/- know if/whether/about
does anyone/anybody/someone/somebody here/- know if/whether
i have/had a/one simple/quick/small/short/little question about/on/regarding/for/-
i have/had a/one silly/stupid/dumb/basic question about/on/regarding/for/-
i just/only/really/- want/need/have/wanted/needed to know/ask/check if/whether/about
could/can/may/might i trouble/bother you for/to/with | i am sorry to/for trouble/bother/disturb you
if you would be so good | if you would be so kind | if you could be so kind | be so kind as to
would you be so kind as to | would you be so good as to | could you be so kind as to
i would be most grateful if you would | i would be most grateful if you could
i would be very grateful if you could | i would be most grateful if | i would be very grateful if
i would be so grateful if you could | i would really appreciate it if you could
i would appreciate it if you could | it would be great if you could
it would be lovely if you could | it would be nice if you could | it would help me if you could
i would be grateful if you could | i would be grateful if you would | i was hoping you could
i was hoping you could tell me | i was hoping to | i hoped you could | i wonder if you could
i wonder whether you could | i wonder if | i wonder whether | i wonder
i would like your help with | i would like to find out | i would like to understand
i need to find out | i want to find out | i have to find out | i am keen to know
i am interested in | i am interested to know | i am dying to know | please could you
please can you | please would you | could someone | can someone | can anyone | could anyone
could somebody | can somebody | could anybody | would anyone know | would anybody know
can someone tell me | could someone tell me | can anyone tell me | could anyone tell me
can somebody tell me | can someone explain | could someone explain | can anyone explain
can someone help me with | can anyone help me with | do any of you know | do you guys know
does anyone here know | does somebody know | does someone know | would you happen to know
might you know | have you got any idea | do you have a clue | any clue | any clues
any thoughts on | any advice on | any tips on | any suggestions on | any suggestions for
any tips for | what would you say | what would you say is | would you say | in your opinion
in your view | in your experience | from your experience | to your knowledge | as far as you know
if you know | if i understand correctly | if i am not mistaken | correct me if i am wrong
i was told that | i was told | i have heard that | i have read that | i read that | people say that
they say that | rumour has it that | so basically | long story short | the thing is
the thing is that | my problem is that | my problem is | the problem is that | the issue is that
here is my question | here is the thing | here is my problem | my question | one more question
one more thing | another question | a quick question | just a quick question | just a question
a question | question for you | just quickly | real quick | very quickly | can you quickly
could you quickly | could you kindly | can you kindly | would you kindly | can you give me
could you give me | can you list | could you list | can you find | could you find | can you look up
could you look up | can you check | could you check | look up | can you find out
could you find out | can you find out for me | can you share | could you share | can you provide
could you provide | i need information on | i need information about | i need some information on
i need some information about | i need details on | i need info on
i am looking for information on | i am looking for information about | i am after
i am searching for | i am trying to find | i am trying to figure out | i am trying to understand
i am trying to work out | i am trying to see | i am having a hard time finding
i have been trying to | i have been trying to find | i have been trying to find out
i have been looking for | i keep wondering | lots of | a bit | a little | kind of | sort of
type of | a kind of | some kind of | i am sure | i am pretty sure | more than once
i am fairly sure | i am certain | once and for all | at all | in total | more or less
"""

_READ = """
how: what is the way to | what is the best way to | what is the easiest way to
how: what is a good way to
how: what is the right way to | what is the correct way to | what is the simplest way to
how: what is the proper way to | what is the process for | what is the process to
how: what is the process of
how: what is the procedure for | what is the procedure to | what is the method for
how: what is the method to
how: what are the steps to | what are the steps for | what are the steps in | which steps
how: what steps
how: what do i need to do to | what do i have to do to | what should i do to | what must i do to
how: what can i do to | what can be done to | what does it take to | in what way | in which way
how: by what means | steps to | steps for | the steps to | ways to | way to | a way to
how: instructions for
how: instructions to | instructions on | guide to | guide for | tutorial on | tutorial for
how: how do i go about | how can i go about | how do you go about | how would i go about
how: how come i can
how: how to go about | what are some ways to | what are ways to | what are the ways to
why: how come | what is the reason | what are the reasons | for what reason | what caused
why: what causes
why: what makes | what made | what is wrong with | what went wrong with | what happened to
why: the reason why
why: reason for | reasons for | the reason for | due to what | the cause of | what for | reason why
why: what is the matter with | what is the problem with | what is the issue with
why: what is going on with
count: how many | what number of | the number of | number of | total number of
quantity: how much | what amount of
quantity: the amount of | amount of | how much money
duration: how long | how much time | how many hours | how many days | how many weeks
duration: how many minutes
duration: how many months | how many years | what length of time | how soon | how quickly
often: how often | how frequently | how many times | how regularly
distance: how far | how far away
age: how old | at what age | at which age | what age
height: how tall | how high
size: how big | how large
speed: how fast
weight: how heavy
depth: how deep
width: how wide
temperature: how hot | how cold | how warm
weather: weather forecast | forecast | weather report | weather conditions
when: what time | at what time | what date | on what date | what day | on what day | which day
when: on which day | on which date | in what year | what year | in which year | which year
when: since when
when: what month | which month | in what month | until when | till when | by when | at which time
where: in what place | in which place | which place | what place | whereabouts | what location
where: which location
who: which person | what person | whom | the name of the person who | who is it that
switchon: turn on | switch on | turned on | switched on | turning on | switching on | power on
switchoff: turn off | switch off | turned off | switched off | turning off | switching off
switchoff: power off
switchoff: shut off | shut down | power down
login: log in | log on | log into | sign in | sign into | logging in | logging into | logged in
login: signing in
login: logged into | signed in | logging on | log onto | signed into | log in to | sign in to
logout: log out | log off | sign out | sign off | logging out | logged out | signing out
logout: signed out
register: sign up | signing up | signed up | sign me up | create an account | set up an account
register: open an account | make an account | opening an account | creating an account
install: set up | setting up | sets up
install: setup
cancel: call off | calling off | called off
delete: get rid of | getting rid of | got rid of | do away with
postpone: put off | putting off
continue: carry on | go on | keep on | carry on with
tolerate: put up with
receive: get back | got back
arrive: show up | shown up | showed up | turn up | turned up | come through | came through
arrive: showing up
search: look for | search for | searching for | seek out
investigate: look into | looking into
inspect: look at | looking at | have a look at | take a look at | check out
resemble: look like
increase: go up | going up | went up | gone up
decrease: go down | going down | went down | gone down
return: give back | send back | sending back | sent back | take back | bring back | gave back
return: giving back
refund: money back | get my money back | my money back
break: break down | broke down | broken down | breaks down
submit: hand in | turn in | send in
complete: fill in | fill out | filling in | filling out | filled in
choose: pick out | opt for | settle on
leave: go away | get out of | walk out of
join: take part in | participate in
wake: wake up | get up
throw: throw away | throw out | thrown away
buy: get hold of | get my hands on | get a hold of
consume: use up
expire: run out | ran out | running out | runs out
maintain: look after | take care of | taking care of | care for | caring for
differ: difference between | the difference between | differences between | different from
differ: differ from
differ: what distinguishes | tell apart
without: other than | apart from | aside from | except for | with the exception of | with no
without: but not
instead: instead of | rather than | in place of | in lieu of | as opposed to
without: excluding
fewer: less than | fewer than | at most | no more than | not more than
greater: more than | greater than | at least | no less than | in excess of
not: no longer | not any more | not anymore | any longer | not yet | fail to | fails to | failed to
not: unable to | failing to | not able to | not possible to | impossible to | trouble with
not: have trouble | having trouble | had trouble | have problems | having problems | having issues
not: have issues | problems with | problem with | issues with | issue with | having difficulty
not: have difficulty | having a problem | having an issue | still waiting for | still waiting on
not: never got | still waiting | ended up not
fail: not working | not work | stopped working | stop working | not functioning | not function
fail: will not work | went wrong | gone wrong | goes wrong | going wrong | out of order
fail: not going through
fail: not go through | not gone through | did not go through | acting up | not responding
fail: not respond
fail: not successful | not completed | not complete
fail: not accepted | not accept | not processed | not process | got declined
delete: get rid off | get ridd of
does it: dose it
does a: dose a
does my: dose my
does this: dose this
illegal: against the law | not legal | not lawful
legal: within the law
free: at no cost | free of charge | for nothing | without charge | without paying
cheap: low cost | low priced | on a budget | on a shoestring
unemployed: out of work | without a job | jobless
elderly: old people | senior citizens
nearby: close by | around here | near here | near me | close to me | in my area
always: all the time
sometimes: from time to time | now and then | now and again | once in a while
daily: every day | each day | per day
weekly: every week | each week | per week
monthly: every month | each month | per month
yearly: every year | each year | per year | per annum
deaf: hard of hearing | hearing impaired
unwell: under the weather
luggage: hand luggage | carry on luggage | carry on bag | carry on bags
when does: when dose
how does: how dose
why does: why dose
what does: what dose
where does: where dose
fever: high temperature
how do: hoe do
how to: hoe to
world war #2: world war second | second world war | ww2 | wwii
world war #1: first world war | ww1 | wwi
capital: capital city | capital cities
#afternext: after next
#beforelast: before last
used: second hand | pre owned | preowned
#30 minutes: half an hour | half hour | a half hour | half a hour
#15 minutes: quarter of an hour | a quarter of an hour | quarter hour | quarter an hour
#45 minutes: three quarters of an hour
#90 minutes: an hour and a half | one and a half hours | hour and a half
#2: a couple of | a pair of
usa: united states | united states of america | u s a | u s | the states
uk: united kingdom | u k | great britain
newyork: new york | new york city | nyc | n y c
losangeles: los angeles
sanfrancisco: san francisco
uae: united arab emirates
eu: european union
ai: artificial intelligence
ml: machine learning
tv: television
pc: personal computer
ceo: chief executive officer | chief executive
cfo: chief financial officer
cto: chief technology officer
gdp: gross domestic product
atm: cash machine | cash point | cashpoint | cash dispenser | automated teller machine
phone: mobile phone | cell phone | smart phone | telephone number
mobile: cellular
email: e mail | electronic mail | e-mail
wifi: wi fi | wireless internet | wireless network
zip: zip code | post code | postal code | postcode | zipcode
website: web site | web page | webpage
username: user name
password: pass word | pass code | passcode
backup: back up | backing up | backed up
feedback: feed back
topup: top up | topping up | topped up | top-up | topups | topup | top ups
download: down load
online: on line
credit_card: credit card | credit cards
debit_card: debit card | debit cards
public_transport: public transport | public transportation | mass transit
supermarket: grocery store | grocery shop
airport: air port
cinema: movie theater | movie theatre | picture house
gas: petrol | gasoline | motor fuel
driving_license: driver license | drivers license | driver's license | driving licence
driving_license: driving license
vacation: time off | holiday leave
child: little one | little ones | young children
heart_attack: heart attack | myocardial infarction
blood_pressure: blood pressure
high_blood_pressure: high blood pressure | hypertension
flu: influenza
covid: covid #19 | covid-19 | coronavirus | corona virus
vitaminc: vitamin c | ascorbic acid
vitamind: vitamin d
"""


class Node:
    """A word inside phrases: the words that may follow, and the reading if a phrase ends here."""

    __slots__ = ("following", "reading")

    def __init__(self) -> None:
        self.following: dict[str, Node] = {}
        self.reading: tuple[str, ...] | None = None


@cache
def phrases() -> dict[str, Node]:
    """Return the phrases as a tree of words, by their first words."""
    root = Node()
    for phrase, reading in inflected():
        node = root
        for word in phrase.split():
            node = node.following.setdefault(word, Node())
        node.reading = node.reading or (reading,)
    for lines, read in ((_NOTHING, False), (_READ, True)):
        for line in lines.splitlines():
            reading, _, phrases = line.partition(":") if read else ("", "", line)
            for phrase in (one for many in phrases.split("|") for one in expanded(many)):
                node = root
                for word in phrase.split():
                    node = node.following.setdefault(word, Node())
                node.reading = tuple(reading.split())
    return root.following


def _words(nodes: dict[str, Node]) -> frozenset[str]:
    return frozenset(nodes).union(*(_words(node.following) for node in nodes.values()))


@cache
def phrase_words() -> frozenset[str]:
    """Return every word of a phrase."""
    return _words(phrases())
