"""Common English words from a to c: see :mod:`.real_words`."""

from __future__ import annotations

__all__ = ["WORDS"]

WORDS = """
abandon abdomen able aboard abortion about above abroad abrupt absence absent absolute absorb
abstract absurd abundant abuse abyss academic academy accelerate accent accept acceptance access
accessory accident accommodate accommodation accomplish accord accordingly account accountable
accountant accounting accrue accumulate accuracy accurate accuse accustom ache achieve achievement
acid acknowledge acne acorn acoustic acquaint acquaintance acquire acquisition acre acrobat action
activate active activity actor actress actual acute adapt adaptation adapter addict addition
adequate adhere adhesive adjacent adjective adjust adjustment administer administration
administrator admiral admire admission admit adolescent adopt adoption adore adult adulthood
advance advanced advantage adventure adverb adverbial adverse advert advertise advertisement
advertising advice advise adviser advisor advocate aerial aerobic aerospace affair affect affection
affirm afford affordable afraid afternoon aftershave afterward again aged agency agenda agent
aggressive agile agony agree agreeable agreement agriculture ahead aid aide aim airbag airbnb
aircraft airfare airline airmail airplane airport airtime airy aisle alarm albeit album alcohol
alcoholic alcoholism alert algae algebra algorithm alibi alien align alignment alike alimony alive
allegation allege allergic allergy alley alliance allocate allocation allotment allotted allow
allowance alloy ally almond almost alone along alphabet alphabetical already also altar alter
altitude aluminum alumni always amateur amaze amazing ambassador amber ambition ambitious ambulance
amend amendment amenity amid amino ammonia amnesty among amortization amount ample amplifier
amplify amputate amuse amusement analog analogy analyse analysis analyst analytical analyze anatomy
ancestor ancestry anchor ancient android anemia anesthesia angel anger angle angry anguish animal
animate animation anime ankle anniversary announce announcement annoy annoyance annoying annual
annuity anonymous anorexia answer ant antenna anthem anthropology antibiotic antibody anticipate
antidote antifreeze antique antiseptic antivirus anxiety anxious anybody anyhow anymore anyone
anything anyway anywhere apart apartment ape aperture apologise apologize apology apparatus apparel
apparent appeal appear appearance appendix appetite appetizer applaud apple appliance applicable
applicant application apply appoint appointment appraisal appreciate appreciation apprentice
apprenticeship approach appropriate approval approve approximate apricot apron aquarium aquatic
arbitrary arbitration arcade arch archaeology archbishop archer archery architect architecture
archive area aren arena argue argument arise arithmetic arm armchair armor armour army aroma
arrange arrangement array arrears arrest arrival arrive arrogant arrow arsenal arsenic artery
arthritis artichoke article artificial artillery artist artistic asbestos ascend ash ashamed
ashtray aside asleep asparagus aspect asphalt aspirin assassin assault assemble assembly assert
assertion assess assessment asset assign assignment assist assistance assistant associate
association assume assumption assurance assure asteroid asthma astonish astrology astronaut
astronomer astronomy asylum ate atheist athlete athletic atlas atmosphere atmospheric atom atomic
atrium attach attachment attack attain attempt attend attendance attendant attention attic attitude
attorney attract attraction attractive attribute auction audience audio audit auditor auditorium
aunt authentic authenticate authentication author authority authorization authorize autism autistic
auto autobiography autofill automate automatic automation automobile autonomous autonomy autopilot
autosave autumn auxiliary availability available avalanche avatar avenue average aversion aviation
avid avocado avoid await awake awaken award aware awareness away awesome awful awkward axe axis
axle baboon baby babysitter bachelor back backend background backing backlight backlog backorder
backpack backpacking backup backward backyard bacon bacteria bacterial bad badge badly badminton
baffle bagel baggage baguette bail bait bake baker bakery baking balance balcony bald ball ballad
ballet balloon ballot balsamic bamboo banana band bandage bandana bandit bandwidth banish bank
banker banking bankrupt bankruptcy banner banquet baptism barbecue barber barcode bare barely
bargain barista bark barking barley barn barometer barrel barrier bartender base baseball baseboard
baseline basement basic basil basin basis basket basketball bass bassist bassoon batch bath bathe
bathroom bathtub baton battalion batter battery battle battlefield bayonet beach beacon bead beak
beam bean bear beard beast beat beating beautiful beauty beaver beckon become bedding bedroom
bedsheet bedspread bedtime beef beehive been beer beet beetle beetroot began beggar begin beginner
beginning behalf behave behavior behind being belief believe bell belly belong belonging beloved
below belt bench bend bending beneath beneficial beneficiary benefit benign bereavement berry
beside besides best bestow bestseller bet betray better beverage beware beyond bias bible
bibliography bicycle big bike bikini bilingual bill billboard billing billion billionaire binary
bind binder binoculars biochemistry biodegradable biography biological biologist biology biopsy
bipolar birch bird birdhouse birth birthday birthplace biscuit bishop bison bit bite bitrate bitter
bizarre black blackberry blackboard blackmail blacksmith bladder blade blame blank blanket
blasphemy blast blaze bleach bleed blend blender bless blessing blew blind blindness blink blister
blizzard bloated bloating block blockade blockage blockchain blocking blog blogger blogging blond
blonde blood bloodstream bloom blossom blouse blow blowout blue blueberry blueprint bluetooth blur
blurry blush board boarding boast boat body bodybuilding boil boiler boiling bold bolt bomb bomber
bombing bond bone bonfire bonnet bonus book bookcase booking bookkeeper bookkeeping booklet
bookmark bookmarklet bookshelf bookstore boolean boom boost booster boot booth bootstrap border
bording bore boredom boring born borough borrow borrower boss botany both bother bottle bottleneck
bottom bought boulder boulevard bounce bouncer bound boundary bouquet bourbon boutique bow bowel
bowl bowling box boxer boxing boy boycott boyfriend bracelet braces bracket brag braid brain
brainstorm brake branch brand brandy brass brave bravery breach bread breadcrumb breadth break
breakdown breaker breakfast breakthrough breast breastfeed breastfeeding breaststroke breath
breathalyzer breathe breathing breed breeder breeze brew brewery bribe bribery brick bride
bridegroom bridesmaid bridge brief briefcase briefing brigade bright brilliant brine bring bristle
broad broadband broadcast broadway broccoli brochure broke broker bronchitis bronze brooch brook
broom broth brother brotherhood brought brow brown brownie browse browser bruise brunch brunette
brush brutal bubble bucket buckle budget buffalo buffer buffet buggy build builder building built
bulb bulk bulky bull bulldog bulldozer bullet bulletin bully bullying bump bumper bunch bundle
bungalow bunk bunker buoy burden bureau bureaucracy burger burglar burglary burial burn burner
burnout burrito burrow bursary burst bury bush business businessman busy butcher butler butter
buttercup butterfly buttermilk buttock button buy buyer buying buzz bylaw bypass byproduct
bystander bytecode cab cabaret cabbage cabin cabinet cable cactus cafe cafeteria caffeine cage cake
calcium calculate calculation calculator calculus calendar calf caliber calibrate calibration call
callback callus calm calorie came camel camera camp campaign camper campfire camping campsite
campus canal canary cancel canceled cancellation cancer candidate candle candy cane canister
cannabis canned cannon canoe canopy canteen canvas canyon capability capable capacity cape capita
capital capitalism capitalist capitalize capsule captain caption captive capture car caramel
caravan carbohydrate carbon carbonate carburetor carcass card cardboard cardiac cardigan cardinal
cardio cardiologist cardiology care career carefree careful caregiver careless caretaker cargo
caribbean carnation carnival carnivore carousel carpenter carpet carpool carport carriage carrier
carrot carry cart cartilage carton cartoon cartridge carve cascade case cash cashback cashew
cashier cashmere casino casserole cassette cast caste casting castle casual casualty cat catalog
cataloging catalogue catalyst catapult cataract catastrophe catch category cater caterer catering
caterpillar cathedral cattle caught cauliflower causal cause caution cautious cavalry cave caveat
cavern caviar cavity cease ceasefire cedar ceiling celebrate celebration celebrity celery celiac
cell cellar cello cellphone cellular cellulite celsius cement cemetery censor censorship census
cent center centigrade centimeter centimetre centipede central centrifuge century ceramic cereal
ceremony certain certainty certificate certification certify chain chainsaw chair chairman chalk
challenge chamber champagne champion championship chance chancellor chandelier change changed
changer channel chaos chaotic chapel chapter character characteristic charcoal charge chargeback
charged charger charges charging chariot charisma charitable charity charm charming chart charter
chase chassis chat chatbot chatter chauffeur cheap cheat check checkbook checklist checkout
checkpoint checksum checkup cheddar cheek cheer cheerful cheese cheesecake cheetah chef chemical
chemist chemistry chemotherapy cheque cherish cherry chess chest chestnut chew chicken chickenpox
chickpea chief chihuahua child childbirth childcare childhood childish chili chill chilly chimney
chimpanzee chin china chip chipmunk chiropractor chisel chives chlorine chocolate choice choir
choke cholera cholesterol choose chop chord chore choreography chorus chose christen christian
christianity christmas chromebook chromosome chronic chronicle chronological chuckle chunk church
ciabatta cider cigar cigarette cinema cinnamon circle circuit circular circulate circulation
circumference circumstance circus cistern citation cite citizen citizenship citrus city civic civil
civilian civilization claim clam clamp clap clarification clarify clarinet clarity clash clasp
class classic classical classification classified classify classmate classroom clause claw clay
clean cleaner cleaning cleanse clear clearance clerk clever click client clientele cliff climate
climax climb climber climbing clinic clinical clip clipboard cloak clock clocking clockwise clone
close closet closure cloth clothe clothes clothesline clothing cloud cloudflare cloudy clove clover
clown club clue clumsy cluster clutch clutter coach coal coalition coarse coast coastal coaster
coastline coat coating cobbler cobra cobweb cocaine cock cockpit cockroach cocktail cocoa coconut
cod code codebase coefficient coffee coffin cognitive coherent coil coin coincide coincidence cold
collaborate collaboration collagen collapse collar collarbone collateral colleague collect
collection collective collector college collide collision colon colonel colonial colonist colonize
colony color colorblind colorful colour colourful column columnist coma comb combat combination
combine combustion come comeback comedian comedy comet comfort comfortable comic comma command
commander commandment commemorate commence commend comment commentary commentator commerce
commercial commission commissioner commit commitment committee commodity common commonly
commonwealth communicate communication communion communism communist community commute commuter
commuting compact companion companionship company comparable comparative compare comparison
compartment compass compassion compatibility compatible compel compensate compensation compete
competence competent competition competitive competitor compile compiler complain complaint
complement complete completely completion complex complexion complexity compliance compliant
complicate complicated complication compliment comply component compose composer composite
composition compost compostable compound comprehend comprehension comprehensive compress
compression compressor comprise compromise compulsory computation compute computer comrade conceal
concede conceive concentrate concentration concept conception concern concert concession concierge
concise conclude conclusion concrete concurrency concussion condemn condensation condense condiment
condition conditional conditioner condo condolence condom conduct conductor cone confectionery
confederate confer conference confess confession confide confidence confident confidential
configuration configure confine confirm confirmation conflict conform confront confrontation
confuse confused confusing confusion congestion congratulate congratulations congregation congress
congressional congressman conjunction conjunctivitis connect connection connector conquer conquest
conscience conscious consciousness consecutive consensus consent consequence consequently
conservation conservative conserve consider considerable consideration consist consistency
consistent console consolidate consonant conspicuous conspiracy constable constant constantly
constellation constipation constitute constitution constitutional constrain constraint construct
construction constructive constructor consul consulate consult consultancy consultant consultation
consume consumer consumption contact contactless contagious contain container contaminate
contamination contemplate contemporary contempt contend content contest contestant context
continent continental contingency continual continuation continue continuity continuous contour
contraband contraception contraceptive contract contraction contractor contradict contradiction
contrary contrast contribute contribution contributor control controller controversial controversy
convenience convenient convent convention conventional converge conversation conversion convert
converter convertible convey conveyor convict conviction convince convincing cook cookbook cooker
cookie cooking cool cooler cooling cooperate cooperation cooperative coordinate coordination
coordinator copay cope copilot copper copy copyright coral cord cordless core coriander cork
corkscrew corn corner coronation coronavirus corporal corporate corporation corps corpse correct
correction correlate correlation correspond correspondence correspondent corridor corrosion corrupt
corruption cosmetic cosmic cosmos cost costing costly costume cottage cotton couch cough could
council councillor counsel counseling counsellor counselor count countdown counter counterfeit
counterpart countless country countryside county coup coupe couple coupon courage courageous
courgette courier course court courteous courtesy courthouse courtroom courtyard cousin covenant
cover covert coward cowboy coworker crab crack cracker cradle craft craftsman cramp cranberry crane
crash crate crawl crayon crazy creak cream creamy create creation creative creativity creator
creature credential credibility credible credit creditor creek creep creepy cremate cremation
crescent crew crib cricket crime criminal cripple crisis crisp crispy criterion critic critical
criticise criticism criticize crocodile croissant cron crop cross crossing crossover crossroad
crosstrainer crosswalk crossword crouch crouton crow crowbar crowd crowded crown crucial crucify
crude cruel cruelty cruise crumb crunch crunchy crusade crush crust crutch cry crying cryptic
crypto cryptocurrency crystal cube cuckoo cucumber cuddle cuisine culinary culminate culprit cult
cultivate cultivation cultural culture cumin cumulative cup cupboard cupcake cupful curator curb
cure curfew curiosity curious curl curly currency current curriculum curry curse cursor curtain
curve cushion custard custody custom customary customer customize cut cute cutlery cyanide
cyberattack cyberbullying cybersecurity cycle cyclist cyclone cylinder cynical
"""
"""Words, in order; regular inflections are left out."""
