"""Common English words from q to z: see :mod:`.real_words`."""

from __future__ import annotations

__all__ = ["WORDS"]

WORDS = """
quadrant quail quaint qualification qualified qualify qualitative quality quantify quantitative
quantity quantum quarantine quarrel quarry quart quarter quarterback quarterly quartz queasy queen
queer quench query quesadilla quest question questionable questionnaire queue quiche quick quickly
quiet quietly quilt quinoa quit quite quiz quota quotation quote quotient rabbi rabbit rabies
raccoon race racial racing racism racist rack racket radar radiate radiation radiator radical radio
radioactive radish radius raffle raft rag rage raid rail railing railroad railway rain rainbow
raincoat raindrop rainfall rainforest raining rainy raise raisin raking rally ramen ramp ran ranch
random randomize randomly range ranger rank ranking ransom ransomware rape rapid rapidly rapper
rare rarely rarity rash raspberry rat rate rather rating ratio ration rational rattle rattlesnake
raven ravine raw ray razor reach react reaction reactive reactor read reader readily readiness
reading readjust readme ready real realism realistic reality realization realize really realm
realtor reap reappear rear rearrange reason reasonable reasonably reassure rebate rebel rebellion
reboot rebound rebuild recall receipt receivable receive receiver recent recently reception
receptionist receptive receptor recession recharge rechargeable recipe recipient reciprocal recital
recite reckless reckon reclaim recline recliner recognise recognition recognize recollect recommend
recommendation reconcile reconciliation reconsider reconstruct reconstruction record recorder
recording recover recovery recreate recreation recreational recruit recruiter recruitment rectangle
rectangular rectify rectum recur recurrence recurring recyclable recycle recycling red reddish
redeem redemption redesign redirect redistribute redness redo reduce reduction redundancy redundant
reef reel refactor refer referee reference referendum referral refill refinance refine refinery
reflect reflection reflective reflex reflux reform refrain refresh refreshing refreshment
refrigerate refrigerator refuel refuge refugee refund refundable refurbish refusal refuse regain
regard regarding regardless regenerate regeneration regex reggae regime regiment region regional
register registrar registration registry regret regrettable regular regularly regulate regulation
regulator regulatory rehab rehabilitate rehabilitation rehearsal rehearse rehome reign reimburse
reimbursement rein reindeer reinforce reinforcement reinstall reinstate reiterate reject rejection
rejoice relate related relation relational relationship relative relatively relativity relax
relaxation relaxed relaxing relay release relegate relentless relevance relevant reliability
reliable reliance relic relief relieve religion religious relish relocate relocation reluctance
reluctant rely remain remainder remaining remake remark remarkable remedial remedy remember
remembrance remind reminder reminiscent remission remit remittance remnant remodel remorse
remortgage remote remotely removable removal remove renaissance rename render rendering renew
renewable renewal renounce renovate renovation renown renowned rent rental renting reopen
reorganize repair repay repayment repeal repeat repeated repeatedly repel repellent repetition
repetitive replace replacement replay replenish replica replicate replication reply report
reportedly reporter reporting repository represent representation representative repress repression
reproduce reproduction reproductive reptile republic republican reputable reputation request
require requirement reroute resale reschedule rescue rescuer research researcher resell resemblance
resemble resent resentment reservation reserve reserved reservoir reset reside residence residency
resident residential residual residue resign resignation resilience resilient resin resist
resistance resistant resistor resize resolution resolve resort resource resourceful respect
respectable respectful respective respectively respiration respirator respiratory respond
respondent response responsibility responsible responsive rest restart restaurant resting restless
restock restoration restore restrain restraint restrict restricted restriction restrictive restroom
restructure result resultant resume resurrect resurrection retail retailer retain retake retaliate
retaliation retarget retention rethink retina retinol retire retired retiree retirement retract
retreat retrieval retrieve retrospect return returnable retweet reunion reunite reusable reuse
reveal revelation revenge revenue reverse reversible revert review reviewer revise revision revisit
revival revive revoke revolt revolution revolutionary revolve revolver reward rewarding rewind
rewrite rhetoric rheumatism rhinoceros rhyme rhythm rhythmic rib ribbon rice rich richness rickshaw
rid riddle ride rider ridge ridicule ridiculous rifle rigatoni rigging right righteous rightful
rigid rigor rigorous rim rind ring ringtone rink rinse riot rip ripe ripen ripple rise risk risky
risotto ritual rival rivalry river riverbank riverside road roadblock roadmap roadside roadway
roadworthy roam roaming roar roast rob robber robbery robe robin robot robotic robotics robust rock
rocket rocky rod rodent role roll rollback roller rollover romance romantic roof roofing rookie
room roommate rooster root rope rosacea rose rosemary roster rot rotary rotate rotation rotten
rough roughly roulette round roundabout route router routine routinely row rowboat rowing royal
royalty rub rubber rubbish rubble ruby rucksack rudder rude rug rugged ruin rule ruler ruling
rumble rumor rumour run runaway runner runoff runway rupture rural rush rust rusty ruthless rye
sabbath sabbatical sabotage sachet sack sacred sacrifice sad saddle sadly sadness safari safe
safeguard safely safety saffron saga said sail sailboat sailing sailor saint sake salad salamander
salami salaried salary sale salesman salesperson saline saliva salmon salmonella salon saloon salsa
salt salty salute salvage salvation same sample sanction sanctuary sand sandal sandbox sandcastle
sandpaper sandstone sandwich sandy sane sang sanitary sanitation sanitize sanitizer sapphire
sarcasm sarcastic sardine sat satellite satin satire satisfaction satisfactory satisfied satisfy
satisfying saturate saturated saturday sauce saucepan saucer sauna sausage savage save saving
savings savior savor savory savvy sawdust saxophone say saying scaffold scaffolding scalable scale
scalp scalpel scam scammer scan scandal scanner scapegoat scar scarce scarcely scarcity scare
scarecrow scarf scary scatter scenario scene scenery scenic scent schedule scheduler scheme
schizophrenia scholar scholarly scholarship school schoolbag schoolboy schoolgirl schooling
schoolwork sciatica science scientific scientist scissors scold scooter scope score scoreboard
scorn scorpion scout scramble scrap scrapbook scrape scratch scream screen screening screenplay
screensaver screenshot screenwriter screw screwdriver scribble script scripture scroll scrollbar
scrub scrutiny scuba sculptor sculpture scurvy sea seafood seagull seahorse seal seam seaport
search searchable seashell seashore seaside season seasonal seasoning seat seating seaweed secluded
second secondary secondhand secrecy secret secretary secretly section sector secure securely
security sedan sedate sedative sediment seduce see seed seedling seek seeker seem seen segment
segregate segregation seize seizure seldom select selection selective self selfie selfish sell
seller semester semicolon semiconductor semifinal seminar senate senator send sender sending senior
seniority sensation sensational sense sensible sensitive sensitivity sensor sensory sensual sent
sentence sentiment sentimental separate separately separation september sequel sequence sequential
serene sergeant serial serializer series serious seriously seriousness sermon serpent serum servant
serve server service serving session set setback settee setting settle settlement settler setup
seven seventh sever several severance severe severely severity sew sewage sewer sewing sex sexist
sexual sexuality shabby shack shade shadow shady shaft shake shaky shale shall shallow shame
shameful shampoo shape shapeless shard share shareholder shark sharp sharpen sharpener sharply
shatter shave shaver shaving shawl shear shed sheep sheepdog sheer sheet shelf shell shellfish
shelter shepherd sheriff shiatsu shield shift shimmer shin shine shingle shiny ship shipbuilder
shipment shipping shipwreck shipyard shirt shiver shock shocked shocking shoe shoelace shoemaker
shook shoot shooter shooting shop shopkeeper shoplift shoplifting shopper shopping shore shoreline
short shortage shortbread shortcoming shortcut shorten shorthand shortlist shortly shorts shot
shotgun shoulder shout shovel show showcase shower shown showroom shred shredder shrewd shriek
shrimp shrine shrink shrinkage shrub shrug shudder shuffle shut shutdown shutter shuttle shy
sibling sick sickness side sidebar sideline sidewalk sideways siege sieve sigh sight sightseeing
sign signal signature significance significant significantly signify signpost signup silence
silencer silent silently silhouette silicon silicone silk silkworm silly silo silver silverware
similar similarity similarly simmer simple simplicity simplify simulate simulation simulator
simultaneous simultaneously sin since sincere sincerity sing singer singing single singleton
singular sinister sink sinus sip siren sister sit site sitting situated situation six sixth size
skate skateboard skateboarding skater skating skeleton skeptic skeptical skeptics sketch skewer ski
skid skier skiing skill skilled skillet skillful skim skin skinny skip skirt skull skunk sky
skydive skydiving skyline skyscraper slab slack slam slander slang slant slap slate slaughter slave
slavery sled sledge sledgehammer sleek sleep sleeper sleeping sleepless sleepwalk sleepy sleet
sleeve slender slept slice slicer slide slideshow slight slightly slim slime slimy slip slipper
slippery slogan slope sloppy slot sloth slow slower slowly sludge slug sluggish slum slump smack
small smallpox smart smartphone smartwatch smash smear smell smelly smelt smile smog smoke smoker
smoking smoky smooth smoothie smoothly smother smudge smuggle smuggler smuggling snack snail snake
snap snapchat snapshot snatch sneak sneaker sneaky sneeze sniff sniper snob snooker snooze snore
snoring snorkel snorkeling snort snout snow snowball snowboard snowboarding snowfall snowflake
snowman snowstorm snowy snuggle soak soap soar sober soccer sociable social socialism socialist
socialize society sociologist sociology sock socket soda sodium sofa soft softball soften softener
softly software softwood soggy soil solar sold soldier sole solely solemn solicitor solid
solidarity solidify solitary solitude solo solstice soluble solution solve solvent some somebody
someday somehow someone something sometime sometimes somewhat somewhere son sonar song songwriter
soon soothe soothing sophisticated sophomore soprano sorbet sorcerer sore sorrow sorrowful sorry
sort soul soulful soulmate sound soundtrack soup sour source sourdough south southern souvenir
sovereign sovereignty soybean space spacecraft spaceship spacesuit spacious spade spaghetti spam
spaniel spanner spare spark sparkle sparkling sparrow spasm spatial spatula speak speaker speaking
spear special specialise specialist speciality specialize specialized specialty species specific
specifically specification specify specimen spectacle spectacular spectator spectrum speculate
speculation speculative speech speechless speed speedboat speeding speedometer speedy spell
spelling spend spending spent sperm sphere spherical spice spicy spider spike spill spin spinach
spinal spine spinning spiral spirit spiritual spirituality spit spite spiteful splash spleen
splendid splinter split splitter spoil spoiler spoke spokesman spokesperson spokeswoman sponge
sponsor sponsorship spontaneous spooky spool spoon spoonful sporadic sport sportsman sportsmanship
sportswear sporty spot spotlight spouse sprain sprawl spray spread spreadsheet spring springboard
sprinkle sprinkler sprint sprinter sprout spy spyware squad squadron squander square squash squat
squats squeak squeaky squeeze squid squint squirrel stab stability stabilize stable stablecoin
stack stackoverflow stadium staff stage stagger staging stagnant stain stainless stair staircase
stairway stake stakeholder stale stalemate stalk stalker stall stamina stammer stamp stampede stand
standard standardize standby standing standpoint standstill staple stapler star starburst starch
stare starfish starlight start startle startup starvation starve state statement statesman static
station stationary stationery statistic statistical statistically statistics statue stature status
statute statutory stay staying steadily steady steak steal stealth steam steamer steel steep steer
steering stellar stem step stepbrother stepchild stepdaughter stepfather stepladder stepmother
stepsister stepson stereo stereotype sterile sterilize stern steroid stethoscope stew steward
stewardess stick sticker sticky stiff stiffness stigma still stimulant stimulate stimulation
stimulus sting stingy stink stipend stir stirring stitch stock stockbroker stockholder stocking
stockpile stole stomach stomachache stone stood stool stop stoplight stopover stopwatch storage
store storey storm stormy story storyline storyteller stove straight straighten straightforward
strain strainer strait strand stranded strange strangely stranger strangle strap strategic
strategist strategy straw strawberry stray streak stream streamer streaming street streetcar
strength strengthen strenuous stress stressed stressful stretch stretcher stretchmark strict
strictly stride strife strike striker striking string stringent strip stripe striped stripper
strive stroke stroller strong strongly structural structure struggle stubborn student studio
studious study stuff stuffing stuffy stumble stump stunning stunt stupid stupidity sturdy stutter
style stylish stylist subcommittee subconscious subcontract subdivide subdomain subdue subject
subjective sublease sublet submarine submerge submission submissive submit subnet subordinate
subquery subscribe subscriber subscription subsequent subsequently subsidiary subsidize subsidy
substance substantial substantially substitute substitution subtitle subtle subtotal subtract
subtraction suburb suburban subway subwoofer succeed success successful successfully succession
successive successor succulent such suck sudden suddenly suffer sufferer suffering sufficient
suffix suffocate sugar sugary suggest suggestion suicidal suicide suit suitable suitcase suite
sulfur sulk sullen sultan sum summarise summarize summary summer summit summon sun sunbathe sunburn
sunburnt sundae sunday sunflower sunglasses sunlight sunny sunrise sunscreen sunset sunshine
sunstroke suntan super superb superficial superhero superintendent superior superiority supermarket
supernatural superpower supersonic superstar superstition superstitious supervise supervision
supervisor supper supplement supplementary supplier supply support supporter supporting supportive
suppose supposedly suppress suppression supreme surcharge sure surely surf surface surfer surfing
surge surgeon surgery surgical surname surpass surplus surprise surprised surprising surprisingly
surrender surrogate surround surrounding surroundings surveillance survey surveyor survival survive
survivor sushi suspect suspend suspense suspension suspicion suspicious sustain sustainability
sustainable swallow swam swamp swan swap swarm sway swear sweat sweater sweatshirt sweaty sweep
sweeper sweet sweeten sweetener sweetheart sweetness swell swelling swift swim swimmer swimming
swimsuit swimwear swindle swing switch switchboard swollen sword swordfish swore syllable syllabus
symbol symbolic symbolism symbolize symmetrical symmetry sympathetic sympathize sympathy symphony
symptom synagogue synchronize syndicate syndrome synonym synonymous synopsis syntax synthesis
synthesize synthetic syringe syrup system systematic tab table tableau tablecloth tablespoon tablet
tabloid taboo tackle tactic tactical tadpole tahini tail tailor take takeaway takeoff takeover
taking tale talent talented talk talkative tall tambourine tame tampon tan tangerine tangible
tangle tango tank tanker tantrum tap tape tapestry tar target tariff tarnish tart task taskbar
taste tasteful tasteless tasting tasty tattoo taught taunt tavern tax taxation taxi taxpayer tea
teach teacher teaching teacup teakettle team teammate teamwork teapot tear tearful tease teaspoon
tech technical technically technician technique technological technology tedious teen teenage
teenager teeth telecom telecommunication telegram telegraph telephone telescope televise television
tell teller temper temperament temperate temperature template temple tempo temporarily temporary
tempt temptation tempting ten tenancy tenant tend tendency tender tendon tennis tenor tense tension
tent tentative tenure terabyte teriyaki term terminal terminate termination terminology termite
terrace terrain terrible terribly terrier terrific terrified terrify terrifying territorial
territory terror terrorism terrorist test testament testify testimony testing testosterone tetanus
text textbook textile texture than thank thankful thanksgiving that the theater theatre theatrical
theft their them theme then theology theorem theoretical theoretically theorist theory therapeutic
therapist therapy there thereafter thereby therefore thermal thermometer thermos thermostat
thesaurus thesis they thick thicken thickness thief thigh thin thing think thinker thinking third
thirst thirsty this thistle thorn thorough thoroughly though thought thoughtful thoughtless
thousand thread threat threaten threatening threshold threw thrifty thrill thriller thrilling
thrive throat throne throttle through throughout throw thrown thrust thumb thumbnail thunder
thunderstorm thursday thyme thyroid tick ticket tickle tidal tide tidy tie tiger tight tighten
tights tile till timber time timeless timeline timely timeout timer timetable timezone timid tin
tingle tinnitus tiny tip tipping tipsy tiramisu tire tired tiredness tiresome tissue titanic
titanium title toad toadstool toast toaster tobacco toboggan today toddler toe toenail tofu
together toggle toilet toiletries token told tolerance tolerant tolerate toll tomato tomb tombstone
tomorrow ton tone toner tongue tonic tonight tonsil tonsillitis too took tool toolbar toolbox
toolchain toolkit tooth toothache toothbrush toothpaste toothpick top topic topical topography
topping torch tore torment tornado torpedo torque torrent torso tortoise torture toss total totally
toucan touch touchdown touching touchpad touchscreen tough toughness tour tourism tourist
tournament tow toward towel tower town township toxic toxicity toxin toy trace traceable track
tracker trackpad tractor trade trademark trader trading tradition traditional traditionally traffic
trafficking tragedy tragic trail trailer train trainee trainer trainers training trait traitor tram
tramp trample trampoline trance tranquil tranquility transaction transatlantic transcend transcode
transcribe transcript transcription transfer transferable transform transformation transformer
transfusion transgender transistor transit transition transitional transitive translate translation
translator transmission transmit transmitter transparency transparent transplant transport
transportation transporter transpose trap trapezoid trash trauma traumatic travel traveler
traveling traveller travelling tray treacherous treadmill treason treasure treasurer treasury treat
treatment treaty treble tree trek trekking tremble tremendous tremor trench trend trendy trespass
trespassing trial triangle triangular triathlon tribal tribe tribunal tribute trick tricky tricycle
trigger trigonometry trilogy trim trimester trimmer trinity trio trip triple triplet tripod triumph
triumphant trivia trivial trolley trombone troop trophy tropic tropical trouble troubled
troubleshoot troublesome trousers trout trowel truce truck trucker true truffle truly trumpet
truncate trunk trust trustee trustworthy truth truthful try trying tsunami tub tuba tube
tuberculosis tuesday tug tuition tulip tumble tumbler tumor tumour tuna tundra tune tunnel
tupperware turbine turbulence turbulent turf turkey turmeric turmoil turn turnip turnover turnpike
turnstile turquoise turtle tusk tutor tutorial tuxedo tweet tweezers twice twilight twin twinkle
twirl twist twitch two tycoon type typewriter typhoid typhoon typical typically typist typo tyranny
tyrant tyre ubiquitous udder ugly ulcer ultimate ultimately ultimatum ultrasound ultraviolet
umbrella umpire unacceptable unanimous unauthorized unbearable unbelievable uncle under undercover
underestimate undergo undergraduate underground underline underlying undermine underneath
understand understandable understanding undertake undertaker undertaking underwater underwear
underweight undo undoubtedly unemployed unexpected unexpectedly unfinished unfit unfold unforeseen
unforgettable unicode unicorn unicycle unidentified uniform unify union unique uniqueness unison
unit unite united unity universal universe university unknown unleash unless unlike unlisted
unprecedented unrest unsettled until unveil unwanted unwind upbringing upcoming update upgrade
upheaval uphold upholstery upkeep uplift upload upon upper uppercase upright uprising uproar upsell
upset upside upstairs upstream uptime uptown upward upwards uranium urban urge urgency urgent
urgently urinary urinate urine usable usage use used useful usefulness useless user username usher
usual usually utensil uterus utility utilize utmost utter utterly vacancy vacant vacate vacation
vaccinate vaccination vaccine vacuum vagina vague vaguely vain valentine valet valid validate
validation validity valley valuable valuation value valve vampire van vandal vandalism vanilla
vanish vanity vapor vapour variable variance variant variation varied variety various varnish vary
vase vast vault veal vector vegan vegetable vegetarian vegetation vehicle veil vein velocity velvet
vendor veneer vengeance venison venom venomous vent ventilate ventilation ventilator venture venue
verb verbal verdict verge verification verify versatile verse version versus vertebra vertebrate
vertical vertically vertigo very vessel vest veteran veterinarian veterinary veto via viable
vibrant vibrate vibration vice vicious victim victor victorian victorious victory video videotape
view viewer viewpoint viewport vigilant vigorous villa village villager villain vine vinegar
vineyard vintage vinyl viola violate violation violence violent violet violin violinist viper viral
virgin virginity virtual virtualenv virtually virtue virtuous virus visa visibility visible vision
visit visitor visual visualization visualize vital vitality vitamin vivid vlog vocabulary vocal
vocalist vocation vocational voice voicemail void volatile volatility volcanic volcano volleyball
volt voltage volume voluntarily voluntary volunteer vomit vomiting vote voter voting vow vowel
voyage vulgar vulnerability vulnerable vulture waffle wage wagon waist waistcoat waistline wait
waiter waiting waitress waive waiver wake walk walked wall wallet wallpaper walnut walrus waltz
wander want wanting war ward warden wardrobe warehouse warfare warm warmth warn warning warrant
warranty warrior wart wary wash washable washbasin washer washing washroom wasp waste wasteful
wasteland wasting watch watchdog watchful watchman water watercolor waterfall waterfront watermelon
waterproof watery watt wave wavelength wavy wax waxy way weak weaken weakness wealth wealthy weapon
wear weary weasel weather weave weaver web webcam webhook webinar webpage website wedding wednesday
weed week weekday weekend weekly weep weigh weight weightlifting weird weirdo welcome weld welder
welfare well wellbeing wellness went were west western wet whale wharf what wheat wheel wheelbarrow
wheelchair when whenever whereabouts whereas wherever whether while whim whine whip whirlpool
whirlwind whisk whisker whiskey whisper whistle white whiteboard whitelist who whoever whole
wholesale wholesaler wholesome wholly whom why wicked wide widely widescreen widespread widget
widow widower width wield wife wifi wig wiggle wild wildcard wilderness wildfire wildflower
wildlife will willing willingly willingness willow win wind windmill window windowsill windpipe
windscreen windshield windsurf windsurfing windy wine winery wing wingspan winner winning winter
wipe wiper wire wiring wisdom wise wish wishlist witch witchcraft with withdraw withdrawal wither
withhold within withstand witness witty wizard wolf woman womb women won wonder wonderful wood
wooden woodland woodpecker woodwork wool woolen word wording wore work workaround workbook worker
workflow workforce working workload workmanship workout workplace worksheet workshop workstation
worktop world worldwide worm worried worry worrying worse worsen worship worst worth worthless
worthwhile worthy wound wounded wrap wrapper wrapping wrath wreath wreck wreckage wrench wrestle
wrestler wrestling wretched wrinkle wrinkled wrist wristband wristwatch write writer writing wrong
wrongful wrongly wrote xenon xylophone yacht yak yaml yard yarn yawn year yearly yearn yeast yell
yellow yellowish yes yesterday yet yield yoga yogurt yolk you young youngster yourself youth
youthful yummy zebra zero zigzag zinc zip zipcode zipper zodiac zombie zone zoo zoology zoom
zucchini
"""
"""Words, in order; regular inflections are left out."""
