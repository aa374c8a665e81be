"""Adjectives, adverbs and the words of some trades that may stand for one another in some questions: see :mod:`.kin`."""

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
missing lost | gone missing | stolen missing | stolen taken | late delayed | delay late | overdue
late | early ahead | busy occupied | busy crowded | alone single | single one | single unmarried |
married wed | double twice | double two | rich wealthy | poor needy | legal allowed permitted |
legal lawful | illegal prohibited forbidden | illegal banned | prohibited forbidden banned | valid
good | valid legal | official formal | public open | local nearby | nearby close near | closest
nearest | far distant | abroad overseas foreign | international global | international worldwide |
global worldwide | worldwide world | global world | national domestic | domestic internal |
automatic auto | automatically auto | manual hand | digital electronic | online internet | virtual
online | online web | offline disconnected | wireless cordless | wireless wifi | portable mobile |
permanent lasting | permanent forever | temporary provisional | temporary interim | instant
immediate | immediately instantly now | sudden abrupt | often frequently regularly | often usually
| usually normally | always constantly | never ever | sometimes occasionally | rarely seldom |
already yet | soon shortly | today now | later afterwards | afterwards after | almost nearly |
about approximately | together both | together simultaneously | simultaneously same | again
repeatedly | again once | twice two | alone solo | well properly | properly correctly | completely
totally fully | possible feasible | possible allowed | likely probable | useful helpful | useless
pointless | worth worthwhile | reliable trustworthy | honest truthful | polite courteous | rude
impolite | friendly kind | kind generous | strict severe | natural organic | artificial synthetic |
artificial fake | fake counterfeit | fake false | real genuine authentic | real actual | spare
replacement | british english | british uk | american usa | us usa | german germany | french
france_ | spanish spain | italian italy | chinese china | japanese japan | indian india | russian
russia | dutch netherlands | polish poland | swedish sweden | norwegian norway | danish denmark |
finnish finland | greek greece | irish ireland | scottish scotland | welsh wales | canadian canada
| mexican mexico | brazilian brazil | australian australia | portuguese portugal | swiss
switzerland | austrian austria | belgian belgium | egyptian egypt | european europe | european eu |
african africa | asian asia | england uk | roman rome | deduct subtract | subtract minus | multiply
times | divide over | square squared | triangle triangular | circle circular | round circular |
circle round | cube cubic | tax taxable | vote voter | sue lawsuit | sting stung | bite bitten |
photograph photographer | bake baker | cough coughing | price pricing | market marketing |
capitalization cap | capitalisation cap | vitamin supplement | sunscreen suncream | spectacles
glasses | specs glasses | specs specification | specification spec | specification feature | specs
feature | require requirement | require prerequisite | prerequisite requirement | duration length |
duration last | length long | duration long | expire end | expire valid | expiry valid | valid last
| opening open | hours open | hours opening | timetable hours | timing time | ingredient need |
checkin register | checkout leave | round throughout | throughout during | throughout all | year
annual | grow plant | house home | household home | sundown sunset | tow pull | overcharge charge |
overcharge bill | double duplicate | duplicate twice | duplicate copy | duplicate repeat | repeat
again | repeat redo | rinse wash | stain spot | brew make | tidy clean | tidy organize | declutter
tidy | spot place | pest insect | bruise bump | bump knock | lump bump | swollen puffy | sore
painful | dizzy faint | constipated constipation | bloated bloating | sleepless insomnia | insomnia
sleep | snore snoring | sweaty sweat | sunburnt sunburn | pregnant pregnancy | breastfeed nurse |
wean stop | vaccinate vaccine | vaccinated vaccine | jab vaccine | inject injection | prescribe
prescription | prescription medicine | operate surgery | scan xray | budget cheap | save economize
| invest investment | invest buy | stock share | dividend payout | payout payment | payment pay |
payment transaction | payment installment | transaction transfer | transfer payment | withdraw take
| withdraw get | deposit put | deposit pay | deposit add | deposit advance | topup add | topup load
| balance money | balance amount | overdraft debt | interest rate | atm cashpoint | bank lender |
card creditcard | credit_card card | debit_card card | blocked frozen | freeze block | freeze lock
| lock block | expired outdated | replacement new | limit quota | cap limit | plan subscription |
subscription membership | trial test | tier plan | package plan | package deal | ping contact |
hashtag tag | tag label | comment remark | comment feedback | feedback review | rating score |
rating stars | star rating | follower subscriber | influencer blogger | stream watch | livestream
stream | podcast show | gif image | meme joke | emoji emoticon | inbox mailbox | spam junk |
attachment file | recipient receiver | signature sign | cursor pointer | scroll swipe | zoom
enlarge | enlarge increase | resize scale | resize shrink | crop trim | rotate turn | flip rotate |
paste insert | highlight mark | format style | format layout | layout design | bold thick | font
typeface | background wallpaper | theme style | mode setting | mute silence | unmute enable |
volume loudness | loud volume | headset headphones | headphones earphones | earbuds earphones |
earbuds headphones | speaker loudspeaker | microphone mic | webcam camera | charger cable | usb
stick | stick drive | ssd drive | gpu graphics | cpu processor | chip processor | os system |
firmware software | driver software | patch update | patch fix | plugin extension | extension addon
| addon plugin | widget component | component module | dashboard panel | panel board | query
request | query search | query select | select choose | select get | filter search | filter exclude
| filter select | endpoint url | url address | url link | link address | domain website | hosting
server | pod container | cluster group | node server | instance server | instance machine | vm
machine | machine server | cloud online | port socket | cache store | log file | logs log | trace
track | debug fix | debug troubleshoot | compile build | build make | build version | test check |
unit module | mock stub | class type | object instance | attribute property | attribute field | key
field | index position | element item | item product | product goods | goods item | merchandise
product | null none | empty null | empty blank | boolean flag | flag option | argument option |
argument parameter | return output | output result | output print | input enter | command
instruction | command order | terminal console | shell terminal | prompt ask | cron schedule | job
task | queue line | stack pile | pile heap | tree hierarchy | graph chart | chart diagram | plot
chart | plot graph | plot draw | render draw | render display
"""
"""Groups of kin, kept apart by bars."""
