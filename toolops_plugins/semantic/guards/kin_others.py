"""Adjectives, adverbs and trade words for one another in some questions: see :mod:`.kin`."""

from __future__ import annotations

__all__ = ["KIN"]

KIN = """
fast quick rapid swift speedy | quick short brief | long lengthy | slow sluggish laggy | slow lag |
cheap affordable inexpensive | cheap low | lowest cheapest minimum least | expensive costly pricey
| expensive high | free complimentary gratis | free costless | free available | good great fine
nice excellent decent | best top ideal optimal | best good recommended | best perfect | good
suitable | good beneficial healthy | bad poor awful terrible | bad harmful dangerous unhealthy |
worst poorest | great excellent wonderful | nice pleasant lovely | suitable appropriate fit right |
appropriate suitable proper | proper correct right | correct right accurate | wrong incorrect false
| wrong bad | false untrue wrong | true correct | accurate precise exact | big large huge | large
major | largest biggest greatest | huge enormous giant massive | enormous massive gigantic | small
little tiny | little few | tiny minuscule | small mini | high tall | highest tallest biggest
greatest | low small | wide broad | narrow thin | thin slim | thick dense | fat overweight obese |
heavy weighty | strong powerful | strong intense severe | severe serious bad | serious grave | weak
feeble | hard difficult tough | difficult hard tricky complicated | easy simple straightforward |
simple easy basic | simple plain | basic simple elementary fundamental | complicated complex
difficult | new recent latest | new fresh | new modern | latest newest recent current | recent
latest last | current present latest | current existing | active running current | active live |
old ancient elderly | old outdated | old former previous | old used | former previous ex | previous
former last prior earlier | last final | first initial original | early premature | next following
upcoming | upcoming next future | main primary principal | chief main head | important essential
vital key crucial | key main | essential necessary vital | necessary required needed essential |
required necessary mandatory | mandatory required compulsory | optional voluntary | popular famous
| popular common | famous wellknown | common usual frequent | usual normal typical | normal usual
regular standard | normal healthy | regular frequent | typical usual average | typical common |
rare uncommon scarce | rare unusual | strange odd weird unusual | special particular | special
unique | specific particular | different other another | different distinct | same identical equal
| similar same alike comparable | equivalent equal same | extra additional more | more increase |
spare extra | enough sufficient | whole entire full complete | vacant empty unoccupied available |
available offered | available accessible | open available | closed shut | safe secure | safe
harmless | safe okay | dangerous unsafe risky | dangerous poisonous | harmful dangerous toxic |
toxic poisonous harmful | poisonous venomous | sick ill unwell | poorly ill sick | hurt injured |
dead deceased | alive living | tired exhausted sleepy | happy glad | happy satisfied | sad unhappy
| sad depressed | angry mad | angry furious | upset angry | upset sad | afraid scared | nervous
anxious | anxious worried | proud arrogant | shy timid | brave courageous | intelligent smart
clever | stupid dumb | crazy mad insane | funny humorous | boring dull | interesting fascinating |
beautiful pretty | pretty attractive | handsome attractive | ugly hideous | clean spotless | dirty
messy | dirty stained | wet damp | wet soaked | damp moist | dry arid | hot warm | hot spicy | cold
cool | cold freezing | cold chilly | sweet sugary | sour acidic | bitter sour | salty salted |
tasty delicious | raw uncooked | rotten spoiled | ripe ready | ready prepared | ready done |
finished done complete | loud noisy | quiet silent | bright light | dark dim | clear transparent |
clear obvious | visible seen | hidden invisible | smooth even | rough uneven | sharp pointed |
blunt dull | soft gentle | flexible elastic | stiff rigid | broken damaged faulty | broken
defective | faulty defective | cracked broken | stuck jammed | blocked clogged | blocked locked |
missing lost | gone missing | stolen taken | late delayed | delay late | overdue late | early ahead
| busy occupied | busy crowded | alone single | single one | single unmarried | married wed |
double twice | double two | rich wealthy | poor needy | legal allowed permitted | legal lawful |
illegal prohibited forbidden | illegal banned | prohibited forbidden banned | valid good | valid
legal | official formal | public open | local nearby | nearby close near | closest nearest | far
distant | abroad overseas foreign | international global | international worldwide | global
worldwide | worldwide world | global world | national domestic | domestic internal | automatic auto
| automatically auto | manual hand | digital electronic | online internet | virtual online | online
web | offline disconnected | wireless cordless | wireless wifi | portable mobile | permanent
lasting | permanent forever | temporary provisional | temporary interim | instant immediate |
immediately instantly now | sudden abrupt | often frequently regularly | often usually | usually
normally | always constantly | never ever | sometimes occasionally | rarely seldom | already yet |
soon shortly | today now | later afterwards | afterwards after | almost nearly | about
approximately | together both | together simultaneously | simultaneously same | again repeatedly |
again once | twice two | alone solo | well properly | properly correctly | completely totally fully
| possible feasible | possible allowed | likely probable | useful helpful | useless pointless |
worth worthwhile | reliable trustworthy | honest truthful | polite courteous | rude impolite |
friendly kind | kind generous | strict severe | natural organic | artificial synthetic | artificial
fake | fake counterfeit | fake false | real genuine authentic | real actual | spare replacement |
british english | british uk | american usa | us usa | german germany | french france_ | spanish
spain | italian italy | chinese china | japanese japan | indian india | russian russia | dutch
netherlands | polish poland | swedish sweden | norwegian norway | danish denmark | finnish finland
| greek greece | irish ireland | scottish scotland | welsh wales | canadian canada | mexican mexico
| brazilian brazil | australian australia | portuguese portugal | swiss switzerland | austrian
austria | belgian belgium | egyptian egypt | european europe | european eu | african africa | asian
asia | england uk | roman rome | deduct subtract | subtract minus | multiply times | divide over |
square squared | triangle triangular | circle circular | round circular | circle round | cube cubic
| tax taxable | vote voter | sue lawsuit | sting stung | bite bitten | photograph photographer |
bake baker | cough coughing | price pricing | market marketing | capitalization cap |
capitalisation cap | supplement vitamin | sunscreen suncream | spectacles glasses | specs glasses |
specs specification | specification spec | specification feature | specs feature | require
requirement | require prerequisite | prerequisite requirement | duration length | duration last |
length long | duration long | expire end | expire valid | expiry valid | valid last | opening open
| hours open | hours opening | timetable hours | timing time | ingredient need | checkin register |
checkout leave | round throughout | throughout during | throughout all | year annual | grow plant |
house home | household home | sundown sunset | tow pull | overcharge charge | overcharge bill |
double duplicate | duplicate twice | duplicate copy | duplicate repeat | repeat again | repeat redo
| rinse wash | stain spot | brew make | tidy clean | tidy organize | declutter tidy | spot place |
pest insect | bruise bump | bump knock | lump bump | swollen puffy | sore painful | dizzy faint |
constipated constipation | bloated bloating | sleepless insomnia | insomnia sleep | snore snoring |
sweaty sweat | sunburnt sunburn | pregnant pregnancy | breastfeed nurse | wean stop | vaccinate
vaccine | vaccinated vaccine | jab vaccine | inject injection | prescribe prescription |
prescription medicine | operate surgery | scan xray | budget cheap | save economize | invest
investment | invest buy | stock share | dividend payout | payout payment | payment pay | payment
transaction | payment installment | withdraw take | deposit put | deposit add | topup add | topup
load | overdraft debt | atm cashpoint | bank lender | debit_card card | blocked frozen | freeze
block | freeze lock | expired outdated | replacement new | limit quota | cap limit | plan
subscription | subscription membership | tier plan | package plan | package deal | ping contact |
hashtag tag | tag label | comment remark | comment feedback | feedback review | rating score |
rating stars | star rating | follower subscriber | influencer blogger | stream watch | livestream
stream | podcast show | gif image | meme joke | emoji emoticon | inbox mailbox | spam junk |
attachment file | recipient receiver | signature sign | cursor pointer | scroll swipe | zoom
enlarge | enlarge increase | resize scale | resize shrink | crop trim | flip rotate | paste insert
| highlight mark | format style | format layout | layout design | bold thick | font typeface |
background wallpaper | theme style | mode setting | mute silence | unmute enable | volume loudness
| loud volume | headset headphones | headphones earphones | earbuds earphones | earbuds headphones
| speaker loudspeaker | microphone mic | webcam camera | charger cable | usb stick | stick drive |
ssd drive | gpu graphics | cpu processor | chip processor | os system | firmware software | driver
software | patch update | patch fix | plugin extension | extension addon | addon plugin | widget
component | component module | dashboard panel | panel board | query request | query search | query
select | select choose | select get | filter search | filter exclude | filter select | endpoint url
| url address | url link | link address | domain website | hosting server | pod container | cluster
group | node server | instance server | instance machine | vm machine | machine server | cloud
online | port socket | cache store | log file | logs log | trace track | debug fix | debug
troubleshoot | compile build | build make | build version | mock stub | class type | object
instance | attribute property | attribute field | key field | index position | element item | item
product | product goods | goods item | merchandise product | null none | empty null | empty blank |
boolean flag | flag option | argument option | argument parameter | return output | output result |
output print | input enter | command instruction | command order | terminal console | shell
terminal | prompt ask | cron schedule | job task | queue line | stack pile | pile heap | tree
hierarchy | graph chart | chart diagram | plot chart | plot graph | plot draw | render draw |
render display | write pen compose | lyrics words | indoors house | indoors home | versus
difference | scold reprimand berate | forget leave | bite nip gnaw | finger hand | workforce
employee people | workforce staff size | extinguish stop | extinguish quench douse | impaired
disabled | impaired hard | meal eat food dinner | delete dispose discard | throw dispose delete |
hot overheat | infant baby | fever temperature | route way road | call phone | shop purchase |
flood flooding | child underage | thrive grow flourish | invent develop create devise | lengthen
longer extend | shorten shorter | strengthen stronger boost improve | widen wider | sweeten sweeter
| lighten lighter | darken darker | tighten tighter | loosen looser | brighten brighter | thicken
thicker | soften softer | harden harder | deepen deeper | accelerate faster quicker | enlarge
bigger larger | shrink smaller reduce | improve better | worsen worse | pickup collect fetch get
buy | dropoff deliver leave return | arrive deliver | deliver ship send bring | earn paid pay |
earn make | exit quit leave close | file lodge submit register | lodge stay | raise file submit |
appeal challenge contest dispute | dispute challenge question | overturn reverse cancel | breach
break violate | infringe violate breach | comply follow obey | enforce apply | implement apply
execute introduce | introduce bring implement launch | abolish end repeal scrap | scrap cancel
abolish | ditch drop abandon leave | dump discard leave | axe cut cancel | reckon think believe
guess | ponder think consider | mull consider | doubt question suspect | suspect think believe |
bet think | gather understand | figure number | figure think | sort kind | sort fix | chuck throw
discard | bin discard throw delete trash | lob throw | nick steal | pinch steal | swipe steal |
grab get take | nab catch get | snag get | score get | land get | fetch get bring | bag get | pop
put | stick put attach glue | glue stick paste attach | fix attach fasten | mount attach install
hang | affix attach | pin attach | bolt fasten | screw fasten | detach remove separate | unplug
disconnect | strip remove | peel remove | scrape remove | rinse clean | scour clean | disinfect
sanitize sterilize | launder wash | mop clean | dust clean | vacuum hoover clean | sweep clean |
iron press | fold crease | wrinkle crease | shrink contract | stain discolour | bleach whiten | dye
colour color | colour dye paint | paint decorate | decorate adorn | renovate refurbish remodel
restore | rebuild reconstruct | patch mend repair | sew mend | overhaul repair | service repair
maintain | tune adjust | tweak adjust change | fiddle adjust | calibrate adjust | customise
customize personalize | personalise personalize customize | tailor customize | adapt adjust modify
change | alter modify | vary change | swap replace | substitute swap | rearrange reorder move |
shuffle mix | jumble mix | whisk beat stir mix | knead work | marinate soak | steep soak brew |
strain drain filter | sieve sift | grate shred | grind mince crush | crush grind mash | sprinkle
scatter | season salt | garnish decorate | serve dish | reheat warm heat | preheat heat | chill
refrigerate cool | thaw defrost melt | simmer boil | poach boil | stew simmer | munch eat | nibble
eat | gobble eat | gulp drink | sip drink | guzzle drink | slurp drink | starve hungry | overeat
eat | snack eat | vomit throwup | puke vomit | sneeze sneezing | sprain twist | fracture break |
broken fractured | dislocate displace | bleed blood | faint collapse | choke suffocate | drown
drowning | overdose poison | poison poisoning | ail sick | recuperate recover | convalesce recover
| soothe calm | numb anesthetize | diagnose detect identify | screen test check | examine check |
inject vaccinate | immunize vaccinate | immunise vaccinate | medicate treat | dose amount | gp
physician | doc doctor | medic doctor | shrink psychiatrist | therapist counsellor counselor |
dentist orthodontist | vet veterinarian | optician optometrist | carer caregiver | babysitter nanny
childminder | toddler child | bairn child | teen youth | youth young | youngster teen | pensioner
retiree | senior elderly | grownup adult | bloke man guy | chap man | lass girl | folk people |
crowd people | public people | citizen people | staffer employee | freelancer contractor |
self_employed freelancer | entrepreneur founder | creator inventor founder maker | maker
manufacturer producer creator | designer creator | developer programmer coder | techie technician |
technician engineer | mechanic technician | repairman technician | handyman repairman | builder
contractor | architect designer | decorator painter | janitor cleaner caretaker | guard warden |
policeman officer police | cop policeman | detective investigator | spy agent | representative rep
agent | salesman seller | cashier teller | clerk assistant | secretary assistant | assistant helper
aide | waiter server | barman bartender | chef cook | baker bakery | butcher meat | grocer grocery
| hairdresser barber stylist | tailor seamstress | plumber plumbing | lorry truck | van minivan |
coach bus | moped scooter | caravan camper trailer | yacht boat | liner ship | jet plane | chopper
helicopter | pram buggy pushchair stroller | kerb curb | pavement sidewalk | intersection
crossroads junction | roundabout rotary | lane road | alley lane | toll fee | traffic congestion
jam | detour diversion | layover stopover | itinerary schedule plan | boarding embarking | lounge
livingroom | lobby foyer reception | suite room | ward room | dormitory dorm hostel | hut cabin
shed | cottage house | villa house | mansion house | bungalow house | condo apartment flat |
condominium apartment flat | studio apartment | mortgage homeloan | landlady landlord | lodger
tenant | flatmate roommate housemate | letting rental | rental rent lease | lease tenancy |
eviction evict | evict eject | squat occupy | deposit downpayment | instalment payment | repayment
payment | benefit allowance welfare | pension retirement | payslip paycheck | paycheck salary pay |
perk benefit bonus | raise increase rise | promotion raise | redundancy layoff dismissal |
dismissal firing sacking | sabbatical leave | absence leave | leave vacation | overtime extra |
shift work | rota schedule roster | timesheet hours | workload work | deadline due | briefing
meeting | interview meeting | cv resume | referee reference | vacancy job opening position |
applicant candidate | recruit hire employ | recruiter recruitment | internship placement |
apprentice trainee | intern trainee | tuition fee | bursary scholarship grant | grant scholarship
funding | loan lending | lecture class talk | seminar class | module course unit | curriculum
syllabus | textbook book | workbook book | dissertation thesis | revise study | revision study |
cram study | memorise learn | plagiarism cheating | cheat copy | pupil schoolchild | principal
headteacher head | nursery preschool kindergarten | maths mathematics | calculation sum computation
| equation formula | statistics stats data | survey study | experiment test trial | lab laboratory
| scientist researcher | spacecraft spaceship rocket | astronaut cosmonaut | meteor meteorite |
galaxy universe | gravity gravitational | molecule particle | bacteria germ microbe | species kind
| breed kind type | habitat home environment | environment surroundings nature | predator hunter |
prey victim | nest home | burrow hole | hibernate sleep | migrate move travel | mate breed
reproduce | lay produce | hatch born | pup puppy | kitten kitty | foal horse | calf cow | lamb
sheep | cub bear | hound dog | mutt dog | moggy cat | pooch dog | nag horse | critter animal |
vermin pest | bug pest | poo poop faeces | poop poo stool | pee urine urinate | wee pee urine |
fart gas | burp belch | pimple spot zit acne | acne spots pimples | wrinkle line | scar mark | mole
spot | tan suntan | sunburn burn | hairstyle haircut | fringe bangs | moustache mustache | beard
stubble | perfume scent | makeup cosmetics | jewel gem | necklace chain | bracelet bangle | spec
glasses | tshirt tee top | hoodie sweatshirt | tracksuit sportswear | pajamas pyjamas nightwear |
underwear pants undies | bra bras | swimsuit swimwear | raincoat mac | mackintosh raincoat | brolly
umbrella | wellies boots | trainer sneaker | slipper slippers | purse handbag | rucksack backpack
bag | holdall bag | carton box | crate box | tin can | jar container | packet pack package | sack
bag | lid cover | cork stopper | handle knob | hinge joint | ladder steps | rope cord string | tape
record | sticky adhesive | adhesive glue | bulb lamp | torch lamp | candle light | match lighter |
fire blaze | flame fire | smoke fumes | ash ashes | explosion blast | quake earthquake | landslide
mudslide | avalanche snowslide | hail hailstorm | drizzle rain | downpour rain | shower rain |
blizzard snowstorm | sleet snow | icy frozen slippery | freezing icy | muggy humid | sunny bright |
cloudy overcast | windy breezy | foggy misty | rainy wet | sunlight sunshine | daylight day |
nightfall dusk | midday noon | fortnight week | bank_holiday holiday | xmas christmas | party bash
celebration | gathering party meeting | reunion gathering | bride wife | groom husband | fiance
partner | engagement betrothal | proposal suggestion | honeymoon trip | divorce separation | widow
widower | orphan child | bro brother | sis sister | grandparent grandmother | nan grandmother |
gran grandmother | gramps grandfather | auntie aunt | kin relative | tribe clan | clan family |
neighbourhood community | council municipality | county shire | borough district | suburb outskirts
| downtown centre | square plaza | market bazaar | fair market | kiosk stand stall | boutique shop
| retailer shop store | wholesaler supplier | warehouse depot | factory plant | mill factory |
workshop garage | office workplace | hq office | branch office | desk table | cubicle desk | chair
seat | sofa settee | cushion pillow | mattress bed | bunk bed | cot crib | blanket throw | sheet
linen | linen sheets | towel cloth | cloth rag | sponge cloth | bucket pail | hose pipe | pipe tube
| drain sewer | gutter drain | tap valve | leak drip | flood overflow | clog block | unblock unclog
| mould mold mildew | mold fungus | rust corrosion | rot decay | crack fracture | dent scratch |
tear rip | hole tear | squeak creak | rattle shake | shake vibrate tremble | rotate spin turn |
roll rotate | slide slip | skid slide | crash collide | collision crash accident | bump dent |
breakdown failure | tow haul | jumpstart start | overtake pass | speeding speed | brake stop |
reverse back | park parking | honk horn | indicator blinker signal | windscreen windshield | wiper
wipers | gear gearbox | puncture flat | petrol fuel | mot inspection | licence permit | logbook
registration | registration registering
"""
"""Groups of kin, kept apart by bars."""
