"""Nouns for one another in some questions: see :mod:`.kin`."""

from __future__ import annotations

__all__ = ["KIN"]

KIN = """
car vehicle automobile auto motor | truck lorry | bike bicycle cycle | plane aircraft airplane jet
aeroplane | flight plane | ship boat vessel | bus coach | train rail railway | train railroad |
taxi cab | subway metro underground tube | tram streetcar | ferry boat | passenger traveler
traveller rider | traveler traveller tourist | trip journey voyage tour excursion | trip holiday |
holiday vacation break getaway | holiday festival | tour trip visit | route way path | route road |
road street highway | street road avenue | motorway highway freeway expressway | path trail track |
bridge overpass | station stop | platform track | airport airfield | terminal station | luggage
baggage suitcase bag | bag handbag purse | suitcase case | ticket pass | ticket fare | fare price |
seat place | hotel accommodation | accommodation lodging housing | house home property | home house
place residence | home dwelling | home inside house | property estate | property attribute |
apartment flat | landlord owner | owner holder proprietor | tenant renter lodger | neighbour
neighbor | building structure | building block | floor storey story level | floor ground | basement
cellar | attic loft | yard garden | fence barrier | toilet bathroom loo | bathroom toilet restroom
| sink basin | tap faucet | bath bathtub | tub bath | couch sofa settee | cupboard cabinet | closet
wardrobe | rug carpet | curtain drape | blanket duvet | duvet comforter quilt | light lamp bulb |
fridge refrigerator | stove cooker oven | heating heater | hoover vacuum | trash garbage rubbish
waste bin | waste squander | tool instrument utensil | tool software | tool app | instrument device
| device machine gadget equipment | device phone | equipment gear | engine motor | battery cell |
cable cord wire lead | cord string | socket outlet plug | outlet shop | charger adapter | screen
display monitor | keyboard keypad | phone mobile handset | phone smartphone | computer laptop |
computer machine | laptop notebook | tablet pill | app application program software | application
request | program show | program course | programme schedule | website site page webpage | site
location | page sheet | account profile | account login | password passcode credential | password
login | pin code passcode | username login | document file paper | document form | paper essay |
paper article | form shape | form application | folder directory | picture photo image | video clip
| video movie | movie film | screenshot screencap | icon symbol | symbol sign | button key | menu
list | menu options | setting option | setting preference | setting config | option choice |
feature function | function method | method approach way technique | method strategy | strategy
approach tactic | error bug fault | error mistake | error exception | error message | fault blame |
problem issue trouble | difficulty problem | virus malware | hack breach | hacker attacker | backup
copy | copy version | version release | version edition | server host | host presenter | internet
web | wifi internet wireless network | connection link | connection internet | database table |
table chart | table desk | row line | row record | column field | field area | cell square |
spreadsheet excel | spreadsheet sheet | string text | text message sms | text words | list array |
variable field | value amount | package library module | package parcel | repository repo | branch
fork | commit change | merge combine | loop iterate | iteration loop | thread process | memory ram
| disk drive | storage space | storage memory | space room | message note | message mail | note
remark | mail post | mail email | letter mail | letter character | character role | shipment
delivery | delivery shipping | shipping postage | receipt invoice | receipt proof | invoice bill |
statement invoice | refund reimbursement | discount reduction | discount sale | discount offer |
discount deal | offer deal | sale offer | coupon voucher | voucher code | gift present | prize
award reward | bonus reward | shop store boutique | supermarket grocery | market store | mall
centre | customer client | buyer customer purchaser | consumer customer | consumer user | user
customer | user person | seller merchant vendor | merchant shop | supplier vendor provider |
provider company | company firm business | company employer | company organization | company
organisation | business enterprise | business trade | organization institution | organisation
institution | employer boss | boss manager | boss supervisor | supervisor manager | employee worker
| employee member | staff employee personnel | staff team | colleague coworker | colleague workmate
| partner spouse | spouse husband | spouse wife | boyfriend partner | girlfriend partner | job
position | job role post | job work | role position | position place | career job | salary income |
pay salary wage | income earnings | revenue income turnover sales | profit gain | loss deficit |
debt loan | fund money | money cash | cash banknote | currency money | coin change | budget plan |
budget funds | saving economy | duty obligation | fine penalty | punishment penalty | sentence
punishment | insurance cover policy | policy rule | rule regulation law | law legislation act | act
deed | requirement condition | requirement rule | condition state | condition disease | condition
term | term word | term period | contract lease | agreement contract deal | treaty agreement |
court tribunal | lawyer attorney solicitor | judge magistrate | jury juror | crime offence |
criminal offender | thief burglar | police cop officer | police constable | prison jail | evidence
proof | witness observer | victim sufferer | case lawsuit | claim lawsuit | claim complaint |
document record | right entitlement | permission consent | permission authorization | licence
license permit | passport id | identity id | identification id | citizen national resident |
resident inhabitant | citizenship nationality | immigration migration | visa permit | embassy
consulate | government state | government administration | parliament legislature | president
leader | president head | leader head | leader boss | head director | politician statesman |
election poll | vote ballot | party celebration | party group | team squad | team side | team club
| team crew | group team | group band | player athlete | player footballer | coach trainer |
trainer instructor | goal target | goal score | score result | score points | point score | result
outcome | championship title | championship tournament | cup tournament | tournament competition |
competition contest | race competition | game match | stadium arena | stadium ground | pitch field
| race run | medal award | hobby interest | hobby activity | exercise workout | exercise activity |
gym fitness | music song | song track | singer artist | singer musician | band musician | album
record | concert gig | show programme | show series | show concert | episode show | actor performer
| actor star | actress star | author writer | author novelist | novelist writer | poet writer |
novel book | book text | story plot | story novel | poem verse | magazine journal | newspaper paper
| article piece | article post | news headline | chapter section | section part | part piece | part
component | piece bit | play drama | museum gallery | exhibition show | painting picture | painting
artwork | statue sculpture | college university | class lesson | class course | training course |
degree qualification | qualification certificate | certificate diploma | teacher tutor | student
pupil | student learner | student undergraduate | homework assignment | assignment task | task job
| exam test | grade mark | grade score | grade class | subject topic | topic theme | fact
information | data information | data dataset | theory hypothesis | formula equation | number
figure | figure amount | digit number | total sum | average mean | percentage share | percentage
proportion | proportion share | share portion | ratio proportion | area surface | length distance |
distance far | height tall | height altitude | weight mass | size dimension | width breadth | speed
velocity | speed pace | speed rate | speed fast | temperature degree | power energy | power
electricity | current electricity | fuel petrol | petrol gasoline gas | gas fuel | oil petroleum |
world earth | world globe | universe space | sky heaven | rain shower | rain rainfall | rain
precipitation | rainfall precipitation | snow snowfall | storm tempest | wind breeze | wind gale |
flood flooding | fog mist | sunset dusk sundown | sunrise dawn | sea ocean | river stream | coast
seaside | shore coast beach | island isle | mountain mount | peak summit | valley canyon | forest
wood | wood timber | desert wilderness | country nation | land ground | town city | capital city |
region area | area zone | area place | neighbourhood area | neighborhood area | place location |
address location | border boundary | border frontier | centre middle | center middle | edge border
| corner edge | side edge | top peak | top summit | bottom base | front face | inside interior |
inside indoors | outside outdoors | exterior outside | animal creature beast | animal pet | dog
puppy | dog pup | cat kitten | cow cattle | pig hog | insect bug | pest bug | pest insect | plant
vegetation | plant grow | flower bloom | grass lawn | fruit produce | vegetable veg | vegetable
produce | food meal | food cuisine | food dish | meal dish | dish recipe | recipe instructions |
dessert sweet pudding | biscuit cookie | sweet candy | drink beverage | alcohol booze | bottle
container | container box | box carton | knife blade | ingredient component | calorie energy | diet
nutrition | nutrient vitamin | doctor physician | doctor gp | nurse carer | patient sufferer |
hospital clinic | medicine drug medication | medicine remedy | drug narcotic | remedy cure
treatment | treatment therapy | disease illness | disease disorder | illness condition | disorder
condition | infection disease | symptom sign | sign indication | pain ache | pain hurt | injury
wound | wound cut | bruise injury | swelling inflammation | itch irritation | fever temperature |
nausea sick | vomit sick | surgery operation | operation procedure | procedure process |
appointment meeting | appointment booking | meeting conference | meeting call | event occasion |
event function | ceremony event | wedding marriage | wedding ceremony | funeral burial | birth
delivery | birthday anniversary | pregnancy pregnant | pregnant expecting | baby infant | baby
newborn | child kid | child minor | child youngster | teenager adolescent teen | adult grownup |
adult person | person individual | person human | human people | man guy | man male | woman lady |
woman female | mum mother | dad father | relative family | relative relation | family household |
friend mate | friend buddy | enemy opponent | opponent rival | ancestor forebear | descendant
offspring | offspring child | clothes clothing outfit | trousers pants | jumper sweater | shoe
footwear | trainers sneakers | hat cap | fabric cloth material | material substance | substance
chemical | color shade | colour shade | stain mark | spot mark | scratch mark | hole gap | hair fur
| skin flesh | stomach belly tummy | gut intestine | leg limb | arm limb | foot feet | tooth teeth
| eye vision | vision sight | eyesight vision | sound noise | idea concept | idea thought | opinion
view | belief faith | religion faith | god deity | church chapel | temple shrine | prayer worship |
goal aim | goal objective | aim purpose | purpose goal | purpose function | purpose use | reason
cause | reason explanation | motive reason | effect result | effect impact | effect consequence |
consequence result | influence effect | benefit advantage | disadvantage drawback | drawback
downside | risk danger | risk hazard | chance probability | chance likelihood | chance opportunity
| odds chance | probability odds | likelihood probability | limit maximum | limit restriction |
maximum most | restriction rule | minimum least | difference distinction | difference contrast |
similarity likeness | example sample | example instance | instance case | model version | model
type | brand make | brand company | kind type | category type | category class | quality standard |
standard norm | standard level | level degree | amount quantity | amount sum | quantity number |
number amount | dose amount | dose quantity | supply provision | shortage lack | surplus excess |
history past | future tomorrow | beginning start | origin source | origin beginning | date day |
deadline due | deadline date | deadline limit | time hour | period time | period era | era age |
age period | century era | year annum | annual year yearly | monthly month | weekly week | daily
day everyday | hourly hour | morning am | afternoon pm | evening night | night overnight | daytime
day | notice warning | notice notification | notification alert | warning alert | reminder
notification | advert advertisement | advert ad | leaflet brochure | manual guide handbook | manual
instructions | guide tutorial | instruction direction | instruction guide | hint tip | tip advice |
tip gratuity | secret confidential | confidential private | private personal | union guild | crew
staff | army military | army troops | soldier troops | weapon arms | gun firearm | gun weapon |
bomb explosive | conflict war | battle fight | peace truce | monarch ruler | empire kingdom |
revolution revolt | revolt rebellion uprising
"""
"""Groups of kin, kept apart by bars."""
