"""Verbs for one another in some questions: see :mod:`.kin`."""

from __future__ import annotations

__all__ = ["KIN"]

KIN = """
buy purchase order get acquire obtain shop | get obtain receive acquire gain fetch secure earn
collect | get become grow turn | get reach arrive travel go | receive get obtain collect accept |
give provide offer supply grant hand donate present | give lend pass hand | send mail post ship
dispatch deliver forward transmit submit email | send transfer wire remit | take bring carry fetch
transport | take require need last | take consume ingest swallow use | take use catch ride board |
make create build produce prepare construct generate develop form | make cook prepare bake brew |
make cause render force | make earn | make do | remove delete erase eliminate clear wipe discard
purge drop uninstall | remove extract detach take | remove clean | delete close | cancel stop
terminate discontinue void revoke undo withdraw | unsubscribe optout stop cancel | undo revert
reverse rollback | change modify alter edit update adjust amend revise tweak | change switch swap
replace convert exchange transform | change move reschedule shift | convert transform translate
turn change | update refresh upgrade renew edit | renew extend prolong continue | extend lengthen
prolong stretch | start begin commence launch initiate open establish found | start launch run boot
open | start activate enable trigger | stop halt cease quit prevent end | stop prevent avoid block
suppress | stop discontinue abort terminate kill | end finish conclude terminate complete close
expire | finish complete end accomplish | fix repair mend resolve solve correct remedy troubleshoot
| fix restore recover | break damage smash crack shatter | break violate breach infringe | crash
fail freeze hang break | work function operate run | work job employment occupation career
profession | work labour labor toil | run execute launch start operate perform | run manage operate
administer | run flow | open launch start run access | open unlock unseal | open establish create |
close shut seal | close shut lock | find locate discover detect identify search spot | find see
view get access | identify recognize recognise detect determine find | search seek find browse look
| show display list present view demonstrate print | show prove demonstrate indicate | show exhibit
| view see display show watch look inspect read | view open access | see watch view look observe
notice | see meet visit consult | watch see view stream | look appear seem | check verify confirm
validate test examine inspect | check see view look determine find | check monitor track | check
cheque | test try check evaluate | test exam quiz assessment examination | track follow monitor
trace watch | track trace locate find | choose select pick decide prefer | decide determine choose
| pick choose collect | set configure define specify | set setup configure | set assign | configure
setup customize | install setup deploy add | install put mount fit | deploy release publish launch
| publish release issue post | release publish launch issue | release free liberate discharge |
connect link attach pair join hook plug | connect join combine | link connect attach associate |
attach add append include fasten connect | add insert append include attach put | add sum total |
include contain comprise incorporate involve cover | contain hold include | cover include insure
protect | combine merge join mix blend unite concatenate | mix blend stir combine | split divide
separate part | separate split divide isolate | share distribute divide | copy duplicate clone
replicate reproduce | save store keep preserve retain | save rescue | save backup | keep retain
maintain store hold preserve | keep prevent stop | keep stay remain | keep continue | store save
keep hold | store shop supermarket outlet | hold keep contain | hold host organize | move relocate
shift transfer transport | transfer move send migrate wire | carry transport bring bear | put place
set lay position | place spot location site venue | place order | hide conceal mask cover | protect
guard secure defend shield safeguard | protect prevent avoid | prevent avoid stop block preclude |
avoid prevent escape evade skip | block ban prevent stop bar | ban prohibit forbid bar outlaw block
| allow permit let enable authorize authorise accept | allow legal permit | enable activate allow
switchon | switchon enable activate start | switchoff disable deactivate stop | turn rotate spin |
help assist aid support | help improve ease | help treat | treat cure heal relieve remedy soothe |
relieve ease soothe alleviate reduce help | heal recover mend | recover restore retrieve regain |
restore recover reset reinstate | reset restore change recover | restart reboot reset | reduce
lower decrease cut lessen minimize shrink diminish | increase raise grow rise boost improve expand
| increase maximize | improve enhance boost increase better optimize | improve strengthen | cut
slice chop trim | grow raise cultivate plant farm rear | raise increase lift | fall drop decline
decrease plunge | rise increase climb grow | climb ascend | lose shed drop reduce | lose misplace |
lose forfeit | gain earn get win | gain increase | win earn gain receive | beat defeat overcome win
| lead guide direct head | lead cause | cause trigger provoke produce induce bring create | cause
reason | affect influence impact change alter | affect harm damage | happen occur arise | happen
event | use utilize employ apply operate | use consume spend | use access | employ hire recruit use
| apply request register | spend pay use | pay settle cover | pay spend cost | pay compensate
reimburse | cost price fee charge expense rate | cost run | fee charge cost payment rate | rate
speed pace | rate percentage ratio | price value cost worth | bill invoice charge statement | sell
vend market trade | sell offer | trade exchange swap deal | lend loan | rent lease hire let | hire
employ recruit engage | dismiss sack fire terminate | fire dismiss sack layoff | leave quit exit
depart resign | leave abandon | leave break holiday vacation absence | quit resign leave stop |
retire stop | join enter register enrol | register enrol enlist join subscribe apply | register
record | enter access join | enter type input | type enter write | type kind sort category variety
| type font | visit see tour go | travel go trip journey visit commute | go travel get move | go
leave depart | go attend | attend visit join participate | arrive reach come land get | reach
arrive get attain achieve hit | contact reach call email message phone | call phone ring contact
dial telephone | call name term | call summon | name call title | name term word | talk speak chat
discuss converse | speak say | say tell state | say mean | tell inform notify | tell explain
describe | tell distinguish | explain describe clarify define interpret | describe characterize
explain | mean signify denote represent define | mean imply | mean average | ask request inquire
query | ask invite | request ask demand require apply | request claim | require need demand | need
require want must | want wish desire like need | want intend | like love enjoy prefer | prefer like
favour favor | hate dislike loathe | know understand | know recognize | learn study understand |
learn discover | study research learn | study read | research study investigate | teach train
educate instruct | train teach coach | train practise practice exercise | practise rehearse
practice | understand comprehend grasp interpret | think believe consider | consider regard |
remember recall memorize | remember memorise | forget lose | recognize identify spot detect |
recognise identify spot detect | notice spot see observe | prove verify | guarantee ensure warranty
| ensure guarantee assure | calculate compute determine work find | count number calculate | count
total | measure determine calculate | measure gauge | estimate guess calculate predict | predict
forecast estimate | solve resolve fix crack | solve calculate | handle manage deal process treat |
manage handle control administer | control manage regulate operate | deal handle cope | process
procedure | organize sort | arrange organize organise plan | plan schedule arrange | plan intend |
plan package | plan strategy | schedule book arrange | schedule plan timetable | book reserve order
schedule | book reservation | book title | order book request | order sequence | order command |
sort order arrange classify | postpone delay reschedule defer move | reschedule move postpone
change | wait delay | hurry rush | speed accelerate | accelerate quicken | slow delay | last
continue take endure survive | live survive last | live reside dwell stay inhabit | lifespan
lifetime life longevity live | stay remain reside live | stay sleep lodge | exist live | exist
occur | die perish pass decease | die death | kill murder slay eliminate | kill destroy | murder
assassinate kill | hurt injure harm damage ache pain | injure hurt harm wound | damage harm ruin
destroy | destroy ruin demolish wreck | ruin spoil damage | spoil rot perish | burn scorch | burn
scald | melt thaw dissolve | melt defrost | heat warm | cool chill | boil cook | grill barbecue
broil | peel skin | season flavour | eat consume have | eat chew bite | chew eat gnaw | feed eat
give | drink consume | drink beverage | taste flavour | smell stink | smell scent | clean wash wipe
scrub cleanse | clean tidy | wash clean rinse | wash launder | polish shine | dry dehydrate | fill
complete | fill load | empty drain clear | pour spill | leak drip | upload load add post submit |
download get save | download fetch | print output display | scan read | write compose draft author
| write create | write record | sign signature | parse read process analyze | analyze analyse
examine study assess | examine inspect study | inspect examine review check | review evaluate
assess check | review critique | assess evaluate judge appraise | rank rate | compare contrast |
versus difference differ compare | vary differ change | match correspond fit | match game fixture |
match equal | fit suit | suit lawsuit | wear dress | wear use | dress gown | sew stitch | tie
fasten | fasten secure attach | lock secure | throw toss | throw hurl | catch capture | catch
contract get | grab catch seize | hit strike | hit beat | strike walkout | push shove press | press
push hit click | click press tap select | pull drag | drop lower | jump leap | walk stroll | drive
motor | fly travel | sail boat | swim bathe | park parking | steal rob nick | cheat deceive | fool
deceive | lie deceive | fight battle combat | fight quarrel argue | argue dispute quarrel | attack
assault invade raid | invade attack occupy conquer | conquer invade defeat | rule govern reign |
elect vote choose | appoint name nominate | marry wed | divorce separate | date meet | born birth |
sleep rest nap | sleep doze | relax unwind rest | wake rouse | cry weep | laugh giggle | smile grin
| worry concern | worry fear | fear dread | scare frighten | annoy irritate bother | disturb bother
annoy | surprise astonish | complain grumble | complain report | report notify | report statement |
report account | apologise apologize | thank appreciate | praise compliment | blame accuse | accuse
charge | claim demand | claim assert | demand insist | reject decline refuse turndown | deny refuse
| deny reject | accept approve take | approve accept authorize | approve endorse | confirm verify
approve | agree consent | agree accept | promise pledge | swear vow | warn caution | notify alert
inform warn | advise recommend suggest counsel | recommend suggest advise propose | propose suggest
offer | encourage motivate | persuade convince | force compel oblige | oblige require force must |
obliged required must | follow obey | follow pursue | pursue chase | chase hunt | hunt search |
escape flee | return refund | return giveback | return send | refund reimburse repay | replace swap
substitute exchange | substitute replace replacement alternative | instead substitute replacement
alternative | suffer have | suffer experience | experience feel | feel sense | touch feel | skip
omit | exclude omit except | produce manufacture make generate | invent create design | invent
devise | design create plan | design develop | develop program code | develop grow | code program
script | establish found create start | act behave | perform do execute | perform play | play game
| record log | record tape | monitor screen | issue problem | access enter open reach | access
login | attempt try | fulfil satisfy meet | meet gather | gather collect | collect pickup | support
maintain | maintain service | service maintenance | inherit receive | owe due | own possess have |
belong own | earn deserve | eligible qualify entitled allowed | entitle eligible
"""
"""Groups of kin, kept apart by bars."""
