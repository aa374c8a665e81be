"""Words that may stand for one another in a question (English); classes are kept apart by bars.

A word belongs to one class only, so classes are kept narrow: a word with several senses stands
where
its commonest sense in questions is, or nowhere. Phrases that :mod:`.phrases` reads as one word may
appear as that word. Inflections are left out, for words are compared by their stems.
"""

from __future__ import annotations

__all__ = ["SYNONYMS"]

SYNONYMS = """
buy purchase acquire procure | price cost fee charge pricing fare
cheap inexpensive affordable budget lowcost | film movie flick
fix repair mend troubleshoot resolve solve remedy rectify | begin start commence launch initiate
end finish conclude terminate | stop halt cease quit | car automobile auto | truck lorry
doctor physician | lawyer attorney solicitor | teacher instructor tutor | police cop
child kid toddler youngster | baby infant newborn | mother mom mum mommy mummy
father dad daddy papa | grandmother grandma granny | grandfather grandpa granddad | big large huge
small little tiny | fast quick rapid speedy swift | slow sluggish | happy glad joyful cheerful
sad unhappy sorrowful | angry mad furious | scared afraid frightened | tired exhausted weary
sick ill unwell | smart clever intelligent | stupid dumb foolish | rich wealthy affluent
strong powerful sturdy | hard difficult tough challenging | easy simple straightforward effortless
important significant crucial vital essential | beautiful pretty gorgeous lovely attractive
ugly unattractive | famous wellknown renowned celebrated popular
weird strange odd unusual peculiar | dangerous hazardous unsafe risky harmful | safe secure
healthy wholesome nutritious | delicious tasty yummy | funny hilarious amusing humorous
boring dull tedious | correct accurate right | wrong incorrect inaccurate erroneous mistaken
delete remove erase eliminate | change modify alter edit amend adjust | update upgrade refresh
switch swap exchange | create make build construct produce generate | show display present
hide conceal | choose select pick | search seek | find locate discover | get obtain
send transmit dispatch forward | cancel abort revoke annul | return giveback
refund reimburse reimbursement | pay payment | invoice bill | money cash fund
salary wage paycheck | job employment occupation profession | boss manager supervisor employer
employee worker staff | company firm corporation business | shop store | customer client shopper
seller vendor | house home | flat apartment | room chamber
bathroom restroom toilet washroom lavatory loo | kitchen kitchenette | garden yard
trash garbage rubbish waste | couch sofa settee | fridge refrigerator | lift elevator
holiday vacation | trip journey travel | flight plane airplane aircraft | luggage baggage suitcase
hotel inn lodging | street road | highway motorway freeway | pavement sidewalk
subway metro underground tube | bike bicycle | motorbike motorcycle
phone telephone smartphone cellphone handset mobile | call ring dial | email mail
message text sms | picture photo photograph image pic | video clip | song tune | computer pc
laptop notebook | app application program software | website site webpage homepage | internet web
password passcode | pin pincode | login signin logon | register signup enrol enroll enlist
account profile | username userid | screen monitor | folder directory | bug defect glitch
error fault | install setup | configure customize | connect link pair url
enable activate switchon | disable deactivate switchoff | steal rob | stolen theft
lose lost loss misplace | leave depart | wait await | meet encounter | talk speak chat converse
say state | ask inquire enquire request query | answer reply respond response
explain clarify describe description | teach educate | learn study
write compose author writer composer | book novel | story tale | test exam examination quiz
college university uni | student pupil | class course lesson | eat consume | drink beverage
food meal | cook prepare | dinner supper | dessert pudding | cookie biscuit | candy sweet
fries chips | soda pop | eggplant aubergine | zucchini courgette | cilantro coriander
medicine medication drug pharmaceutical | pill tablet | pharmacy chemist drugstore
hospital clinic | disease illness sickness | symptom sign | pain ache | injury wound | cure heal
treatment therapy | pregnant expecting | fat obese overweight | thin slim skinny slender
die decease | kill slay | marry wed | marriage wedding | friend pal | enemy foe
man male gentleman | woman female lady | boy lad | girl lass | country nation | city town
population inhabitant | language tongue | law legislation | rule regulation | border frontier
war conflict | election vote | win triumph winner victory | beat defeat | game match
player athlete | coach trainer | team squad | fan supporter | football soccer | ship vessel boat
ocean sea | mountain mount | forest wood | river stream | stone rock | snake serpent | rabbit bunny
dog puppy | cat kitten kitty | fall autumn | rain rainfall | earth globe | party celebration
clothes clothing garment apparel outfit | trousers pants | sweater jumper pullover
sneakers trainers | glasses spectacles | wallet purse | size dimension | speed velocity
amount quantity | maximum max highest | minimum min lowest | increase raise rise boost grow
decrease reduce lower lessen diminish drop | improve enhance | damage harm | destroy demolish ruin
protect guard | help assist aid assistance support | allow permit let | forbid prohibit ban
prevent avoid | affect influence impact | use utilize utilise | need require | want wish desire
like enjoy | love adore | hate detest loathe dislike | remember recall
understand comprehend grasp | guess estimate | calculate compute determine
check verify confirm validate | try attempt effort | keep retain | throw discard dispose
collect gather | divide split | combine merge mix blend | add append insert
contain include comprise | close shut | move relocate | carry transport | push press | give donate
lend loan | own possess | rent lease | sell vend | withdraw withdrawal | contract agreement
approve approval accept | reject refuse deny decline | complain complaint
problem issue trouble difficulty | fail failure unsuccessful | broken defective faulty | work
function operate | machine device appliance gadget | tool instrument | engine motor
electricity electric | heat warm | cold chilly cool | clean wash tidy | dirty filthy
wet damp moist | loud noisy | quiet silent | old ancient elderly | modern contemporary
recent latest newest | previous former prior earlier | next following upcoming subsequent
first initial | last final | best top finest greatest ideal optimal
main primary chief principal elementary | free complimentary gratis costfree
empty vacant unoccupied | near nearby nearest closest | far distant | outside outdoors
track trace | review feedback rating | discount rebate | coupon promo
subscribe subscription membership | renew renewal extend prolong | expire expiry expiration lapse
deadline due | schedule timetable | appointment booking reservation | postpone delay defer
often frequently regularly commonly | rarely seldom | immediately instantly | soon shortly
legal lawful legitimate | illegal unlawful | mandatory compulsory obligatory | optional voluntary
benefit advantage pro | drawback disadvantage downside con | risk danger hazard
goal aim objective target | result outcome | effect consequence | method technique approach
difference distinction | similar alike | same identical equal | different distinct
example instance | meaning definition define | translate translation | pronounce pronunciation
spell spelling | invent invention inventor | found establish founded founder | draw sketch
singer vocalist | universe cosmos | animal creature | flower blossom | grass lawn
vegetable veggie | grill barbecue bbq | exercise workout | tooth teeth | perfume fragrance
makeup cosmetics | jewelry jewellery | area region zone | district neighborhood neighbourhood
neighbor neighbour | location whereabouts | route path | harbor harbour port | beach seaside shore
island isle | pollution contamination | recycle reuse | license licence | citizenship nationality
immigrant migrant | tourist visitor traveler traveller | owner proprietor | tenant renter
crime offense offence | prison jail | fraud scam | fake counterfeit | virus malware
encrypt encryption | restore recover recovery retrieve | restart reboot
copy duplicate repeated repeat | run execute | database db | bigger larger | biggest largest
smallest tiniest | fastest quickest | receive arrive | package parcel shipment
expensive costly pricey dear | dismiss sack fire | tap faucet spigot | stock share equity
paint painter | direct director | relieve soothe alleviate ease | used secondhand
postgres postgresql | javascript js ecmascript | typescript ts | kubernetes k8s | mongodb mongo
bitcoin btc | ethereum eth | instagram insta | facebook fb | youtube yt | wire cable cord
pan skillet | stove cooker hob | freezer icebox | hoover vacuum | torch flashlight | nappy diaper
pram stroller | petrol gasoline gas | windscreen windshield | bonnet hood | boot trunk | tyre tire
gearbox transmission | homework assignment | grade mark | term semester | scholarship bursary
professor lecturer | kidnap abduct | murder assassinate | arrest detain apprehend | trial hearing
penalty fine punishment | lawsuit litigation | landlord lessor | inherit inheritance
will testament | custody guardianship | bankrupt bankruptcy insolvent insolvency
pension retirement | hire recruit | colleague coworker | promotion advancement | resume cv
dizzy lightheaded | vomit puke | nausea queasiness | diarrhea diarrhoea | swelling swollen
itchy itching itch | stomach belly tummy abdomen
vaccine vaccination jab shot inoculation immunization | allergy allergic | surgery operation
dose dosage | physiotherapy physiotherapist | period menstruation | heartbeat pulse | shrimp prawn
ketchup catsup | starter appetizer appetiser | takeaway takeout | leftover leftovers | defrost thaw
chop dice | yogurt yoghurt | hike trek hiking trekking | backpack rucksack | repository repo
config configuration settings setting | environment env | argument parameter param
dictionary dict hashmap | boolean bool | integer int | stacktrace traceback | dependency library
admin administrator | shortcut hotkey | wallpaper background | quake earthquake
typhoon hurricane cyclone | tornado twister | humid humidity | wildfire bushfire | citizen national
prime_minister premier | treaty pact accord | battle combat fight | soldier trooper
revolution uprising | ruler sovereign | ancestor forefather | tomb grave burial | peak summit
gulf bay | swamp marsh | prairie grassland | rainforest jungle | cave cavern | gravity gravitation
extinct extinction | goalkeeper goalie keeper | referee umpire | tournament competition
stadium arena | bet wager gamble | controller gamepad joystick | coverage covered
lifespan longevity | chance likelihood probability | amazing awesome fantastic wonderful
horrible terrible awful dreadful | argue quarrel | yell shout scream | smell odor odour scent stink
taste flavor flavour | noise sound | sore painful hurt hurting | smash shatter | rip tear
spill leak | soak drench | chase pursue | flee escape | imprison incarcerate | drag haul
hurl toss | grab seize | crash freeze | abolish repeal | accelerate hasten | accompany escort
accomplish achieve attain | accumulate amass | acknowledge admit | adequate sufficient enough
adjacent neighboring | advertisement advert ad | allocate assign | alternative substitute
announce proclaim | annual yearly | anxious nervous worried | assess evaluate appraise
astonish surprise amaze | attendee participant | audience viewer | authentic genuine
aware conscious | barrier obstacle hurdle | biography bio | brag boast | brutal cruel
calm peaceful | chaos disorder | circular round | classify categorize categorise
comfy comfortable | compel coerce | competent capable | competitor rival | concept notion
consecutive successive | conserve preserve | convenient handy | convince persuade
courteous polite | criticize criticise | deadly lethal fatal | deceive trick fool | decorate adorn
dedicate devote | detect spot notice | deteriorate worsen | diagram chart graph
dispute disagreement | diverse varied | dwell live reside | earnings income revenue
endless infinite | entrance entry | envy jealousy | evident obvious apparent | exhibition exhibit
expert specialist | extra additional further | fabric cloth textile | fluid liquid
fortunate lucky | fragile breakable delicate | freedom liberty | fundamental basic
guarantee warranty | handbook manual | harsh severe | headquarters hq | helpful useful
hint clue tip | hobby pastime | hurry rush | imitate mimic | impolite rude | inspect examine
intend plan | investigate probe | jealous envious | leap jump | limit cap restriction restrict
loyal faithful | maintain upkeep | merchandise goods | notify alert inform | novice beginner newbie
obsolete outdated | occur happen | overseas abroad | oversee supervise | pledge promise
poisonous toxic | predict forecast | proof evidence | raw uncooked | reliable dependable
remain stay | restaurant diner | reveal disclose | salesperson salesman | sample specimen
skill ability | sleepy drowsy | soil dirt | staircase stairs | suggest recommend propose
sunrise dawn | sunset dusk | supermarket grocery | survey poll | sweat perspire
thief burglar robber | totally completely entirely | tradition custom | urgent pressing
valuable precious | vanish disappear | weep cry | instalment installment | topup recharge reload
remit remittance | beneficiary payee recipient
"""
"""Classes of synonyms; the first word of each names it."""
