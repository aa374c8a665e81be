"""Real words that look like typing errors of one another, so that neither is one (English).

A typing error is a word that is none. Without a dictionary of the whole language at hand, these are
the words of everyday questions that lie within one or two letters of another such word.
"""

from __future__ import annotations

__all__ = ["REAL_WORDS"]

REAL_WORDS = """
able about above accept access ache acre action actor adapt addict addition adopt affect again aged
agent aisle alley ally alone along already altar alter always angel angle annual apart apple apply
arrange arrival arrive article aside asset assist assure attach attack aunt author average award
aware away back backing bacon badge bail bait bake baker baking balance balcony ball band bandage
bank banker banking bare barely bargain bark barking base basic basin basis basket batch bath bathe
batter battery battle beach bead beak beam bean bear beard beast beat beating beauty become been
beer begin behave being bell below belt bench bend bending beside besides best bet better bike bill
bind bird birth bite bitter black blade blame blank blast blaze bleach bleed blend bless blind
blink block blocking blogging blond blood bloom blow board boarding boast boat body boil bold bolt
bomb bond bone bonus book booking boost boot border bording bore born borrow boss both bottle
bottom bounce bound bow bowel bowl box boxer brain brake branch brand brave bread break breath
breathe breed brick bride bridge brief bright bring broad broke broker brook broom brown browse
brush bucket buckle budget build built bulb bulk bull bullet bump bunch bundle burn burst bury bush
business butter button buyer buying cabin cabinet cable cage cake calculate call calm camel camp
campaign canal cancel canceled cancer candle candy cane canoe canvas capable cape capital carbon
card cardboard care career careful cargo carpet carrot carry cart carton cartoon carve case cash
casino cast casting castle casual catch cattle cause caution cave cease ceiling celebrate cell
cellar cement census cent center central century cereal certain chain chair chalk chamber champion
chance change changed changer channel chapel chapter charge charged charger charges charging
charity charm chart charter chase chat cheap cheat check cheek cheer cheese chef chemical cherry
chess chest chew chief child chill chin chip choice choir choke choose chop chord chore chunk
church cider cigar cinema circle circus cite city civil claim clap clash clasp class claw clay
clean clear clerk clever click client cliff climate climb clinic clip cloak clock clocking close
closet cloth clothe clothes cloud clown club clue coach coal coarse coast coat cock code coil coin
cold collar collect college colon colony color colour column comb combat come comfort comic command
comment commerce commit committee common company compare compass compete complain complement
complete complex compliment compose compost compound comprise compute conceal concede conceive
concept concern concert conclude concrete conduct confer confess confide confine confirm conflict
conform confuse connect conscience conscious consent conserve consider consist console constant
construct consul consult consume contact contain contend content contest context continent continue
contract contrary contrast control convent convert convey convict convince cook cooker cookie
cooking cool cope copper copy cord core cork corn corner corps corpse correct cost costing costume
cottage cotton couch cough could council counsel count counter country county couple courage course
court cousin cover covert coward crab crack craft cramp crane crash crate crawl crazy cream create
credit creek creep crew crib crime crisis crisp critic crop cross crow crowd crown cruel cruise
crush crust cry crying cube cucumber culture cup cupboard curb cure curious curl current curry
curse curtain curve cushion custom customer cycle daily dairy damage damp dance danger dare dark
dart dash data date daughter dawn deal dealer dear death debate debit debt debut decade decay
deceive decent decide deck declare decline decorate decrease deep deer defeat defect defend defer
define degree delay delete deliver delta demand denial dense dent deny depart depend deposit depth
deputy derive descend descent desert deserve design desire desk despair desperate despite dessert
destroy detach detail detect deter develop device devil devise devote diagnose dial diamond diary
dice dictate diet differ dig digest digit dine diner dinner dinosaur dip direct dirt disc discount
discover discuss disease dish disk dismiss display dispose dispute distance distant distinct
distract district disturb ditch dive diver divert divide dock doctor dodge doll dollar domain dome
domestic donate donkey donor door dose double doubt dough down dozen draft drag drain draining
drama draw drawer dream dress drift drill drink drip drive driver drop dropping drought drown drug
drum drunk dry dryer drying dual duck duct due duel duet duke dull dumb dump dust duty dye dying
eager eagle early earn earth ease east easy eating echo edge edit edition effect elbow elder elect
electric elegant element elevate eligible emerge emergency emigrate emit empire employ employee
employer empty enable enact end ending endure enemy energy engage engine enjoy enough enrol ensure
enter entire entrance entry envelop envelope equal equip erase erect error escape essay estate
eternal ether ethnic evade even evening event ever every evidence evil evolve exact exam exceed
except excess exchange excite exclude excuse exempt exercise exhaust exist exit exotic expand
expect expel expend expense expert expire explain explode exploit explore export expose express
extend extent extinct extra extract eyes fable fabric face facility fact factor factory faculty
fade fail faint fair fairy faith fake fall false fame family famine famous fancy fare farm farmer
fast fasten fatal fate father fault favor fear feast feat feather feature federal feed feel fellow
felt fence ferry fetch fever fiber fiction field fierce fight figure file fill film filter final
finance find fine finger finish fire firm fish fist fit fix flag flame flash flat flavor flaw flea
fleet flesh flight fling flip float flock flood floor flour flow flower flu fluid flush flute fly
flying foam focus fog foil fold folk follow fond font food fool foot force ford forecast foreign
forest forge forget forgive fork form formal format formula fort forth fortune forty forum forward
foster foul found fountain fowl fox frame frank fraud free freeze freight fresh friend fright frog
from front frost frown frozen fruit fry frying fuel full fund funeral funny fur furnish further
fury fuse future gain gaining gallery gallon gamble game gang gap garage garden garlic gas gate
gather gauge gaze gear gender gene general generate genius gentle genuine germ gesture ghost giant
gift ginger girl give glad glance glass globe glory glove glow glue goal goat gold golf good goods
goose gorge gossip gown grab grace grade gradual graduate grain gram grand grant grape graph grasp
grass grate grater grave gravel gravity gravy gray graze great greed green greet grief grill grim
grin grind grip grocery groom gross ground group grow growth guarantee guard guess guest guide
guilt guitar gulf gull gum gun guy gym habit hail hair half hall halt ham hammer hand handle hang
happen happy harbor hard hardware hare harm harp harsh harvest haste hatch hate haul haunt have
hawk hay hazard head heading heal health heap hear heart heat heater heating heaven heavy hedge
heel height heir hell hello helmet help hen herb herd here hero hide high hike hill hint hip hire
hiss history hit hoard hobby hockey hold hole holiday hollow holy home honest honey honor hood hook
hoop hope hoping hopping horn horror horse hose hospital host hostel hostile hosting hotel hotline
hour house hover howl hug huge human humble humid humor hunger hunt hunting hurdle hurry hurt
husband hut hymn ideal idle idol ill illegible image imagine immigrate impact imply import impose
impress improve inch incident income increase indeed index indicate infant infect infer inform
inhabit inhale inherit initial inject injure ink inn inner input inquire insect insert inside
insist inspect inspire install instance instant instead instruct insult insure intend intense
intent interest interim internal interval interview invade invent invest invite invoice involve
iron island isolate issue item jacket jail jam jar jaw jealous jelly jet jewel jogging join joint
joke journal journey joy judge juice jump jungle junior jury just justice keen keep kernel kettle
key kick kidney kill kind king kiss kit kitchen kite kitten knee kneel knife knight knit knob knock
knot know label labor lace lack ladder lady lake lamb lame lamp land landing lane lap lapse large
laser last late later latter laugh launch laundry law lawn lawyer lay layer lazy lead leader leaf
league leak lean leap learn lease leash least leather leave lecture ledge ledger left legal legend
lemon lend lending length lens lent less lesser lesson letter lettuce level lever liar liberal
liberty library license lick lid life lift light like limb lime limit limp line linen liner link
lion lip liquid liquor list listen liter literal litter little live liver living lizard load loaf
loan lobby local locate lock locker locking lodge log logging logic lone lonely long look looking
loop loose lord lose loss lost lotion loud lounge love lover lower loyal luck luggage lump lunch
lung lying machine magic magnet maid mail main maintain major make making male mall man manage
manager manner manor manual many map mapping marble march margin marine mark market marketing
marriage married marry mask mass mast master mat match mate material math matter mattress mature
maximum mayor maze meal mean measure meat medal medical medicine medium meet melody melon melt
member memory mending mental mention menu merchant mercy merge merging merit merry mess message
metal meter method middle midnight might mild mile military milk mill mind mine miner mineral
minister minor mint minus minute mirror misery miss mission mistake mix mixture mobile mode model
moderate modern modest modify module moist mold mole moment money monitor monkey month mood moon
mopping moral morning mortal mortgage mother motion motive motor mount mountain mouse mouth move
movie much mud mug multiple muscle museum music mustard mutual myth nail naked name narrow nation
native nature navy near nearly neat neck need needle neglect nephew nerve nest net network neutral
never news nice night noble noise none noon normal north nose note notice notion novel nowhere
nuclear number nurse nursery nut oath obey object oblige observe obtain obvious occasion occupy
occur ocean odd odor offend offense offer office officer often oil old olive onion only open opera
operate opinion opponent oppose option oral orange orbit order ordinary organ organic organize
origin other ought ounce outer output outside oval oven over owe owl own owner oxygen pace pack
package packet packing pad paddle page paid pail pain paint painting pair palace pale palm pan
panel panic pants paper parade parcel pardon parent park parking part partial particle partner
party pass passage passenger passion passive past pasta paste pasting pastor pastry patch path
patience patient patients patrol pattern pause pave paw pay paying payment pea peace peach peak
pear pearl pedal peel peer pen penalty pencil penny pension people pepper perceive percent perfect
perform perhaps period permanent permit persecute person personal personnel pest pet petition
petrol phase phone photo phrase physical physician physics piano pick picture piece pier pig pigeon
pile pill pillow pilot pin pinch pine pink pint pioneer pipe pirate pistol pit pitch pity pizza
place plague plain plan plane planet planing planning plant plastic plate platform play player
playing plea plead please pleasure pledge plenty plot plow plug plum plumber plunge plural pocket
poem poet poetry point pointing poison poke polar pole police policy polish polite political poll
pollen pond pony pool poor pop popular porch pork port portion portrait pose position positive
possess possible post postal posting pot potato potential pound pour poverty powder power practice
praise pray prayer praying preach precede predict prefer premise premium prepare prescribe presence
present presents preserve press pressure presume pretend pretty prevent preview previous price
pride priest primary prime prince princess principal principle print printing prior prison private
prize problem proceed process produce product profession profit program progress prohibit project
prolong promise promote prompt proof proper property propose proscribe prosecute protect protein
protest proud prove proverb provide province prune public publish pudding pull pulse pump punch
punish pupil puppet purchase pure purple purpose purse pursue push puzzle quality quantity quarrel
quarter queen query quest question queue quick quiet quilt quit quite quota quote rabbit race
racing rack radar radio rage raid rail rain raining raise raking rally ramp ranch random range rank
rapid rare rash rate rather ratio ration raw ray reach react read ready real realize reap rear
reason rebel recall receipt receive recent reception recipe recite reckon recline record recover
recruit red reduce refer reflect reform refund refuse regard regime region register regret regular
reign rein reject relate relation relative relax relay release relevant reliable relief relieve
religion rely remain remark remedy remember remind remote removal remove renew rent renting repair
repeat repel replace reply report represent request require rescue research resemble resent reserve
reset reside resign resist resolve resort resource respect respond rest resting restore restrict
result resume retail retain retire retreat retrieve return reveal revenge revenue reverse revert
review revise revive revoke reward rhyme rhythm rib ribbon rice rich ride ridge rifle right rigid
ring rinse riot rip ripe rise risk rival river road roar roast rob robe robot rock rocket rod role
roll roller roof room root rope rose rot rotate rough round route router routine row royal rub
rubber rude rug ruin rule ruler rumor run runner rural rush rust sack sacred sad saddle safe safety
sail sailor saint salad salary sale salmon salon saloon salt salute same sample sand sane satisfy
sauce saucer save saving saying scale scan scandal scar scarce scare scarf scatter scene scent
schedule scheme scholar school science scissors scold scope score scorn scout scrap scrape scratch
scream screen screw script scrub sea seal search season seat seating second secret secretary
section sector secure seed seek seem seize seldom select self sell seller senate send sender
sending senior sense sentence separate sequence series serious serve server service session set
setting settle settler seven several severe sew sex shade shadow shake shall shallow shame shape
share shark sharp shave shed sheep sheer sheet shelf shell shelter shield shift shine ship shipping
shirt shock shoe shoot shop shopping shore short shot shoulder shout shovel show shower shrimp
shrink shrub shut shy sick side siege sight sign signal silence silent silk silly silver similar
simple since sincere sing singer single sink sip sister sit site sitting situation size skate
sketch ski skill skin skip skirt skull sky slab slave sleep sleet sleeve slice slide slight slim
slip slope slot slow small smart smell smile smoke smooth snack snail snake snap snatch sneeze snow
soak soap soar sober social society sock socket soda sofa soft software soil solar soldier sole
solid solve song soon sore sorry sort soul sound soup sour source south space spade spare spark
speak spear special species speech speed spell spend spending spice spider spill spin spine spiral
spirit spit spite split spoil spoke sponge spoon sport spot spouse spray spread spring spy square
squeeze squirrel stable stadium staff stage stain stair stake stale stalk stall stamp stand
standard standing star stare start starve state statement static station stationary stationery
statue status statute stay staying steady steak steal steam steel steep steer stem step stereo
stern stick stiff still sting stir stitch stock stomach stone stool stop storage store storey storm
story stove strain strand strange stranger strap straw stray streak stream street strength stress
stretch strict stride strike string strip stripe stroke strong structure struggle student studio
study stuff stumble stupid style subject submit succeed success such suck sudden suffer sugar
suggest suit suite sum summary summer summit sun super supper supply support suppose sure surf
surface surgeon surgery surplus surprise surrender surround survey survive suspect suspend swallow
swap swear sweat sweater sweep sweet swell swift swim swing switch sword symbol syrup system table
tablet tackle tail tailor take taking tale talent talk tall tame tank tap tape target task taste
tasting tax taxi teach teacher team tear tease technique teeth tell temper temperature temple
temporary tempt tend tender tennis tense tension tent term terrible terror test testing text than
thank that theft their theme then theory therapy there thick thief thigh thin thing think third
thirst this thorn thorough though thought thread threat threaten thrill throat throne through throw
thrown thumb thunder ticket tide tidy tie tiger tight tile till timber time timer tin tiny tip
tipping tire tired tissue title toast tobacco today toe together toilet token tomato tomb tone
tongue tonight tool tooth top topic topping torch toss total touch tough tour tourist tow toward
towel tower town toy trace track trade trader tradition traffic trail trailer train trainer
training trait traitor transfer transform translate transmit transport trap trash travel tray
treason treasure treat treaty tree tremble trend trial tribe tribute trick trip triumph troop
tropical trouble trousers truck true trunk trust truth trying tube tuna tune tunnel turkey turn
tutor twice twin twist type typical tyre ugly ultimate umbrella uncle under union unique unit unite
universe until update upper upset urban urge urgent usage user usual vacant vaccine vague vain
valid valley value valve van vanish vapor variety various vary vast vault vegetable vehicle veil
vein velvet vendor venture verb verse version vessel veteran via victim victory video view village
vine vinegar violate violet violin virtue virus visa vision visit visual vital vitamin vocal voice
volcano volume volunteer vote voter vow voyage wage wagon waist wait waiter waiting wake walk wall
wallet wander want wanting ward warehouse warm warn warning wash waste wasting watch water wave wax
weak weaken wealth weapon wear weary weather weave wedding weed week weekly weigh weight weird
welcome weld welfare well west whale wheat wheel whether while whip whisper whistle white whole
wicked wide widow width wife wild will willing win wind window wine wing winner winter wipe wire
wisdom wise wish witch witness wolf woman women wonder wood wool word work worker world worm worry
worse worth wound wrap wrath wreck wrist write writer wrong yacht yard yarn year yeast yell yellow
yield yoga young youth zebra zero zone
"""
"""Words, in no order that matters."""
