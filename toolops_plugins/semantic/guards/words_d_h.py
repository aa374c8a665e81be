"""Common English words from d to h: see :mod:`.real_words`."""

from __future__ import annotations

__all__ = ["WORDS"]

WORDS = """
daffodil dagger daily dairy daisy damage damp dance dancer dancing dandelion dandruff danger
dangerous dare dark dart dash dashboard data database dataset date daughter dawn day daycare
daydream daylight daytime dead deadlift deadline deadly deaf deafness deal dealer dealership dean
dear death debate debit debris debt debtor debug debugger debugging debut decade decaf
decaffeinated decay deceive decent deception decide decimal decision deck declaration declare
decline decode decompose decor decorate decoration decrease decree dedicate dedicated dedication
deduct deductible deduction deem deep deer default defeat defect defective defence defend defendant
defender defense defensive defer deficiency deficient deficit define definite definitely definition
deflate deflation deforestation deform defraud defrost degrade degree dehumidifier dehydrate
dehydration delay delegate delegation delete deletion deliberate delicacy delicate delicious
delight delightful deliver delivery delta deluxe demand dementia democracy democrat democratic
demographic demolish demolition demon demonstrate demonstration denial denim denote denounce dense
density dent dental dentist denture deny deodorant depart department departure depend dependence
dependent depict deploy deployment deport deportation deposit depot depreciation depress depressed
depression deprive depth deputy derive dermatologist dermatology descend descendant descent
describe description descriptive desert deserve design designate designer desirable desire desk
desktop despair desperate despise despite dessert destination destiny destroy destruction
destructive detach detail detailed detain detect detection detective detector detention deter
detergent deteriorate determination determine detour detox devastate devastating develop developer
development deviate deviation device devil devise devops devote devotion diabetes diabetic diagnose
diagnosis diagnostic diagonal diagram dial dialect dialogue diameter diamond diaper diaphragm
diarrhea diary dice dictate dictator dictatorship dictionary died diesel diet dietary dietitian
differ difference differential differentiate difficult difficulty diffuse diffusion dig digest
digestion digestive digit digital dignity dilemma diligent dilute dimension diminish dine diner
dinner dinosaur dip diploma diplomacy diplomat diplomatic dipper direct direction directive
director directory dirt dirty disability disable disabled disadvantage disagree disagreement
disappear disappearance disappoint disappointed disappointing disappointment disapprove disaster
disastrous disc discard discharge disciple discipline disclaim disclaimer disclose disclosure disco
discolor discomfort disconnect discontinue discount discourage discover discovery discreet
discrepancy discrete discretion discriminate discrimination discuss discussion disease disgrace
disguise disgust disgusting dish dishcloth dishwasher disinfect disinfectant disk dislike dislocate
dismantle dismay dismiss dismissal disobey disorder dispatch dispense dispenser disperse display
disposable disposal dispose disposition dispute disqualify disregard disrupt disruption
dissatisfied dissertation dissolve distance distant distil distinct distinction distinctive
distinguish distort distract distraction distress distribute distribution distributor district
distrust disturb disturbance ditch dive diver diverse diversify diversion diversity divert divide
dividend divine diving division divorce dizziness dizzy doable dock docker doctor doctorate
doctrine document documentary documentation dodge dog doll dollar dolphin domain dome domestic
dominance dominant dominate donate donation done donkey donor donut door doorbell doorstep doorway
dormant dormitory dosage dose double doubt doubtful dough doughnut dove down downfall downhill
download downpour downside downstairs downstream downtown downward dozen draft drag dragon
dragonfly drain drainage draining drama dramatic drape drastic draw drawback drawer drawing dread
dreadful dream dreary dredge drench dress dresser dressing drew dribble drift drill driller drink
drinkable drinking drip drive driver driveway driving drizzle drone drop dropdown dropping drought
drove drown drowsy drug drugstore drum drummer drunk drunken dry dryer drying dual dubious duck
duckling duct due duel duet duffel duke dull dumb dump dumpling dungeon duplex duplicate
duplication durability durable duration dusk dust dusty dutiful duty duvet dwarf dwell dwelling dye
dying dynamic dynamite dynasty dyslexia each eager eagle ear earache earbud eardrum earl earlobe
early earn earnest earning earphone earplug earring earth earthquake earthworm ease easel east
eastern easy eat eating ebay ebook eccentric echo eclipse ecological ecology ecommerce economic
economical economics economist economy ecosystem ecotourism eczema edge edible edit edition editor
editorial educate educated education educational effect effective effectiveness efficiency
efficient effort egg eggnog eggplant eggshell elaborate elastic elbow elder elderly elect election
elective electoral electorate electric electrical electrician electricity electrode electrolyte
electron electronic electronics elegance elegant element elementary elephant elevate elevation
elevator elf eligibility eligible eliminate elimination elite else elsewhere emailing embark
embarrass embarrassed embarrassing embarrassment embassy embed embrace embroidery embryo emerald
emerge emergence emergency emerging emigrant emigrate eminent emission emit emoji emotion emotional
empathy emperor emphasis emphasise emphasize empire empirical employ employee employer employment
empower empress empty enable enact enchilada enclose enclosure encoder encore encounter encourage
encouragement encrypt encryption encyclopedia end endanger endangered endeavor ending endless
endocrine endorse endorsement endow endpoint endurance endure enemy energetic energy enforce
enforcement engage engaged engagement engine engineer engineering engrave enhance enjoy enjoyable
enjoyment enlarge enlighten enlist enormous enough enquire enquiry enrich enrol enroll enrolling
enrollment enrolment ensure enter enterprise entertain entertainer entertainment enthusiasm
enthusiast enthusiastic entire entirely entitle entitled entity entrance entrepreneur entry envelop
envelope envious environment environmental envy enzyme epic epidemic epilepsy episode epoch equal
equality equally equation equator equip equipment equity equivalent erase eraser erect ergonomic
erode erosion errand error erupt eruption escalate escalator escape escort esim espresso essay
essence essential establish established establishment estate estimate estimation estrogen eternal
eternity ethanol ether ethernet ethic ethical ethics ethnic ethnicity etiquette etymology euro
evacuate evacuation evade evaluate evaluation evaporate evaporation even evening event eventual
eventually ever everlasting every everybody everyday everyone everything everywhere evict eviction
evidence evident evil evolution evolve exact exactly exaggerate exam examination examine examiner
example exceed excel excellence excellent except exception exceptional excerpt excess excessive
exchange excite excited excitement exciting exclaim exclude exclusion exclusive excursion excuse
execute execution executive executor exempt exemption exercise exert exfoliate exhale exhaust
exhausted exhausting exhaustion exhibit exhibition exile exist existence existing exit exotic
expand expansion expat expatriate expect expectancy expectation expedition expel expend expenditure
expense expensive experience experienced experiment experimental expert expertise expire explain
explanation explicit explode exploit exploration explore explorer explosion explosive exponent
exponential export exporter expose exposure express expression expressway expungement exquisite
extend extension extensive extent exterior external extinct extinction extinguish extinguisher
extort extra extract extraction extracurricular extraordinary extravagant extreme extremely
extremist eye eyeball eyebrow eyedrops eyeglasses eyelash eyelid eyeliner eyes eyeshadow eyesight
eyewitness fable fabric fabricate fabulous facade face faceplate facial facilitate facility fact
factor factory faculty fade fahrenheit fail failure faint fair fairly fairness fairy faith faithful
fajita fake falafel falcon fall false falsify fame familiar familiarize family famine famous
fanatic fancy fang fantastic fantasy far fare farewell farm farmer farmhouse farming farmland
fascinate fascinating fascism fascist fashion fashionable fast fasten fatal fatality fate father
fatherhood fatigue faucet fault faulty favor favorable favorite favour favourable favourite fear
fearful fearless feasible feast feat feather feature federal federation feed feedback feel feeling
feet feline fell fellow fellowship felt female feminine feminism feminist fence fencing fender
ferment fermentation fern ferocious ferret ferry fertile fertility fertilize fertilizer festival
festive fetch fetus fever few fiance fiancee fiber fibula fiction fictional fiddle field fierce
fiery fig fight fighter fighting figurative figure file filename fill filler filling film filmmaker
filter filth filthy final finalist finalize finally finance financial financier finch find finding
fine finger fingernail fingerprint fingertip finish finite fir fire firearm fireball firebase
firefighter fireman fireplace fireproof firewall firewood firework fireworks firm firmware
firsthand fiscal fish fisherman fishing fist fit fitness five fix fixture flag flagship flake flame
flamingo flammable flank flannel flannels flap flash flashback flashcard flashlight flat flatmate
flatten flatter flavor flavour flaw flawless flea flee fleece fleet flesh flew flexibility flexible
flicker flight flimsy fling flip flipper flirt float flock flood flooding floor flooring floppy
floral florist flour flourish flow flower flu fluctuate fluctuating fluctuation fluency fluent
fluff fluffy fluid fluorescent fluoride flurry flush flute flutter fly flyer flying foam focal
focus foe fog foggy foil fold folder foliage folk folklore follow follower following fond fondness
fondue font food foodstuff fool foolish foot footage football footballer footbridge foothill
footnote footpath footprint footstep footwear forbid forbidden force forceful ford forearm forecast
foreclosure forefather forehead foreign foreigner foreman foremost forensic foresee forest forestry
forever forex forfeit forgave forge forgery forget forgetful forgive forgiveness fork forklift form
formal formality format formation former formerly formidable formula formulate fort forth fortnight
fortress fortunate fortunately fortune forty forum forward fossil foster fought foul found
foundation founder fountain four fowl fox foxglove fraction fracture fragile fragment fragrance
frail frame framework franchise frank frantic fraternity fraud fraudulent freckle free freedom
freelance freelancer freeway freeze freezer freezing freight frequency frequent frequently fresh
freshman freshwater friction friday fridge friend friendly friendship fright frighten frightened
frightening fringe frog from front frontend frontier frontman frost frostbite frosty frown froze
frozen frugal fruit fruitful fruitless frustrate frustrated frustrating frustration fry frying
frypan fudge fuel fugitive fulfil fulfill fulfillment full fullscreen fulltime fume fun function
functional functionality fund fundamental funding fundraise fundraiser fundraising funeral fungal
fungus funnel funny fur furious furnace furnish furnished furniture furry further furthermore fury
fuse fusion fuss fussy futile future futuristic fuzzy gadget gain gaining gala galaxy gallbladder
gallery gallon gallop gallows gamble gambler gambling game gamer gaming gang gangster gap garage
garbage garden gardener gardening gargle garlic garment garnish garnishment gas gasket gasoline
gastric gate gateway gather gathering gauge gaze gazelle gazpacho gear gearbox gecko gel gelatin
gem gender gene genealogy general generalize generally generate generation generator generic
generosity generous genetic genetics genius genocide genome genre gentle gentleman genuine
geographer geographic geographical geography geolocation geologist geology geometric geometry
geothermal germ germination gesture get getaway geyser ghost giant gift gifted gigabyte gigantic
giggle ginger gingerbread giraffe girl girlfriend github give glacier glad gladiator glamorous
glamour glance gland glare glass glasses gleam glide glimpse glitch glitter global globalization
globe gloomy glorious glory gloss glossary glossy glove glow glucose glue gluten gnat gnome goal
goalkeeper goat god goddess godfather godmother gofundme goggles gold golden goldfish golf golfer
gone good goodbye goodness goods goodwill google goose goosebump gorge gorgeous gorilla gospel
gossip gourmet gout govern governance government governmental governor gown grab grace graceful
gracious grade gradient gradual gradually graduate graduation graffiti graft grain gram grammar
grammatical grand granddaughter grandfather grandma grandmother grandpa grandparent grandson
granite granny granola grant grape grapefruit graph graphic graphical graphics graphite grasp grass
grasshopper grassy grate grateful grater gratify gratitude gratuity grave gravel gravestone
graveyard gravitational gravity gravy gray graze grease greasy great greatly greatness greed greedy
green greencard greenhouse greet greeting grenade grew greyhound grid grief grievance grieve grill
grim grin grind grinder grip groan grocer grocery groom groove gross grotesque ground groundhog
groundwater group grouping grove grow grower growl growth grudge grumble grumpy guacamole guarantee
guarantor guard guardian guerrilla guess guest guesthouse guidance guide guidebook guideline guilt
guilty guitar guitarist gulf gull gullible gum gun gunman gunpowder gunshot guru gust gutter guy
gym gymnast gymnastics gynecologist gypsy habit habitat habitual hacker hacking hail hailstone hair
haircut hairdresser hairdryer hairline hairstyle hairy halal half halfway hall hallmark
hallucination hallway halogen halt ham hamburger hammer hammock hamper hamster hamstring hand
handbag handbook handcuff handful handicap handkerchief handle handler handmade handout handrail
handset handshake handsome handwriting handwritten handy handyman hang hangar hanger hangout
hangover haphazard happen happening happily happiness happy harass harassment harbor harbour hard
hardcover harden hardly hardship hardware hardwood hardworking hare harm harmful harmless harmonica
harmony harness harp harsh harvest hashtag hassle haste hasty hat hatch hatchet hate hatred haul
haunt haunted have hawk hay hazard hazardous haze hazel hazelnut head headache headboard header
heading headlamp headlight headline headphone headphones headquarters headset headteacher heal
healer healing health healthcare healthy heap hear heard hearing hearsay heart heartbeat heartbreak
heartburn heartfelt hearth heartworm hearty heat heater heather heating heatwave heaven heavily
heavy heavyweight hectare hedge hedgehog heel height heir held helicopter helium hell hello helmet
help helper helpful helpless hemisphere hemorrhoid hemp hen hence hepatitis herb herbal herbicide
herbivore herd here hereby hereditary heritage hermit hernia hero heroic heroin heroine herring
hesitant hesitate hesitation hexagon hiccup hiccups hid hidden hide hideous hierarchy hieroglyph
high highland highlight highlighter highly highschool highway hijack hike hiker hiking hilarious
hill hillside hilltop hinder hinge hint hip hippopotamus hire hiss histogram historian historic
historical history hit hoard hoarse hoax hobby hockey hold holder holding hole holiday hollow
holocaust holy homage home homebrew homeland homeless homemade homeopathy homeowner homepage
homesick hometown homework homicide honest honesty honey honeycomb honeymoon honor honorable honour
hood hoof hook hoop hop hope hopeful hopeless hoping hopping horizon horizontal hormonal hormone
horn hornet horoscope horrible horrific horrify horror horse horseback horsepower horseradish
horseshoe hose hosepipe hospitable hospital hospitality host hostage hostel hostess hostile
hostility hosting hot hotel hotline hotspot hound hour hourly house household householder
housekeeper housekeeping housemate housewife housework housing hover hovercraft however howl hue
hug huge hull human humane humanitarian humanity humble humid humidifier humidity humiliate
humiliating humiliation hummingbird hummus humor humorous humour hunch hunchback hung hunger hungry
hunt hunter hunting hurdle hurricane hurry hurt husband hush hustle hut hybrid hydrant hydrate
hydraulic hydroelectric hydrogen hyena hygiene hygienic hymn hype hyper hyperlink hypertension
hyperventilate hyphen hypnosis hypocrite hypothermia hypothesis hypothetical hysteria
"""
"""Words, in order; regular inflections are left out."""
