"""Words of one family, each of which is another thing than the others (English).

Embeddings put a family close together: two countries, two colours, two parts of the body. A word of
a family is never read as a typing error for another of it, nor as nearly the same.
"""

from __future__ import annotations

__all__ = ["SIBLINGS"]

SIBLINGS = """
red blue green yellow orange purple pink brown black white gray grey violet turquoise beige gold
silver | dog cat horse cow pig sheep goat chicken duck goose turkey rabbit hamster mouse rat lion
tiger bear wolf fox elephant giraffe monkey gorilla snake lizard turtle frog shark whale dolphin
eagle hawk owl parrot penguin bee ant spider mosquito fly butterfly deer moose camel donkey zebra
hippo kangaroo koala panda crocodile | france germany italy spain portugal england scotland wales
ireland britain uk usa canada mexico brazil argentina chile peru colombia venezuela ecuador bolivia
paraguay uruguay cuba jamaica haiti china japan korea india pakistan bangladesh nepal bhutan
thailand vietnam cambodia laos malaysia singapore indonesia philippines australia russia ukraine
belarus poland czechia slovakia slovenia hungary austria switzerland belgium netherlands holland
luxembourg denmark norway sweden finland iceland estonia latvia lithuania greece turkey bulgaria
romania serbia croatia bosnia albania macedonia montenegro kosovo egypt libya tunisia algeria
morocco niger nigeria ghana kenya uganda tanzania ethiopia sudan somalia zambia zimbabwe mozambique
angola namibia botswana mali chad gambia guinea israel palestine lebanon syria jordan iraq iran
qatar bahrain oman yemen kuwait uae afghanistan kazakhstan uzbekistan mongolia taiwan georgia
armenia | paris london berlin madrid rome lisbon vienna prague budapest warsaw moscow dublin
edinburgh brussels amsterdam copenhagen oslo stockholm helsinki athens istanbul ankara cairo lagos
nairobi johannesburg dubai delhi mumbai bangalore chennai tokyo osaka kyoto seoul beijing shanghai
hongkong bangkok hanoi jakarta manila sydney melbourne brisbane perth auckland wellington toronto
montreal vancouver ottawa chicago boston seattle dallas houston austin denver phoenix miami atlanta
philadelphia detroit portland orlando newyork losangeles sanfrancisco munich hamburg frankfurt
cologne milan naples venice florence turin barcelona valencia seville lyon marseille nice geneva
zurich basel bern | california texas florida ohio georgia virginia oregon nevada arizona utah
colorado kansas arkansas iowa | europe asia africa america antarctica oceania | english french
german spanish italian portuguese dutch russian chinese japanese korean arabic hindi polish swedish
danish norwegian finnish greek turkish hebrew latin mandarin cantonese | python java javascript
typescript ruby rust golang kotlin swift scala perl php haskell c++ c# matlab | html css sql xml
json yaml csv pdf docx xlsx txt png jpg jpeg gif svg mp3 mp4 wav zip tar | windows linux macos
ubuntu debian fedora android ios | chrome firefox safari edge opera | mysql postgres postgresql
sqlite oracle mongodb redis cassandra elasticsearch | aws azure gcp heroku vercel | react angular
vue svelte django flask fastapi rails laravel spring | docker kubernetes podman terraform ansible
jenkins | git svn mercurial github gitlab bitbucket | numpy pandas scipy matplotlib pytorch
tensorflow keras | google apple microsoft amazon facebook meta twitter netflix tesla nvidia intel
amd samsung sony nokia | instagram tiktok youtube snapchat whatsapp telegram signal slack zoom
skype discord linkedin pinterest reddit | iphone ipad macbook galaxy pixel playstation xbox
nintendo | visa mastercard amex paypal venmo stripe klarna applepay googlepay | toyota honda ford
bmw audi mercedes volkswagen volvo nissan mazda kia hyundai | bitcoin ethereum litecoin dogecoin
solana | mars venus mercury jupiter saturn uranus neptune pluto earth moon sun | gold silver copper
iron zinc lead tin aluminum aluminium nickel platinum steel titanium mercury lithium | hydrogen
helium oxygen nitrogen carbon sodium potassium calcium magnesium chlorine sulfur phosphorus |
vitamina vitaminb vitaminc vitamind vitamine vitamink | head neck shoulder arm elbow wrist hand
finger thumb chest back stomach belly hip leg knee ankle foot toe eye ear nose mouth lip tooth
tongue throat hair skin bone heart lung liver kidney brain bladder | diabetes cancer asthma flu
cold covid measles malaria pneumonia bronchitis arthritis migraine allergy anemia | aspirin
ibuprofen paracetamol acetaminophen penicillin insulin antibiotic vaccine | apple banana orange
lemon lime grape pear peach plum cherry strawberry blueberry raspberry mango pineapple kiwi melon
watermelon avocado tomato potato carrot onion garlic cabbage lettuce spinach broccoli cucumber
pepper corn pea bean rice pasta noodle bread butter cheese milk cream yogurt egg salt sugar flour
oil vinegar | beef pork chicken lamb turkey fish salmon tuna shrimp crab bacon ham sausage steak |
coffee tea water juice beer wine whisky whiskey vodka rum gin milk soda cola | pizza burger
sandwich salad soup sushi taco curry pancake waffle cake pie cookie muffin donut | breakfast lunch
dinner brunch snack | football basketball baseball tennis golf hockey rugby cricket volleyball
badminton swimming cycling skiing boxing wrestling karate judo yoga running surfing | piano guitar
violin drum flute trumpet saxophone cello harp | teacher nurse doctor dentist lawyer engineer
architect plumber electrician carpenter mechanic accountant pilot chef waiter farmer journalist
pharmacist therapist psychologist surgeon veterinarian | car bus train plane bike motorcycle truck
van taxi tram ferry boat ship subway scooter | shirt trousers skirt dress jacket coat sweater sock
shoe boot sandal hat scarf glove belt tie | table chair desk bed sofa shelf cabinet drawer lamp
mirror carpet curtain | kitchen bathroom bedroom basement attic garage garden roof floor wall door
window ceiling stairs | oven microwave dishwasher fridge freezer dryer vacuum toaster blender
kettle | hammer drill saw screwdriver wrench | christmas easter halloween thanksgiving ramadan
diwali hanukkah newyear | spring summer autumn winter | north south east west | mother father
brother sister son daughter wife husband uncle aunt cousin nephew niece grandmother grandfather |
math physics chemistry biology history geography economics psychology philosophy law medicine |
passport visa license certificate | checking savings mortgage loan credit debit prepaid | deposit
withdrawal transfer payment refund fee exchange topup cashback | password username email phone
address name pin birthday photo | novel poem play essay article biography | king queen prince
president minister mayor governor senator chancellor emperor pope ambassador | buddhism
christianity islam judaism hinduism | jpeg png tiff router modem printer scanner monitor keyboard
mouse headphone speaker camera laptop tablet phone | population area capital currency language flag
anthem president | height weight age length width depth speed temperature volume mass density |
symptom treatment cause diagnosis prevention cure | invoice receipt contract statement payslip |
husband wife fiance partner | adult child baby teenager senior | meter liter gram | boil poach fry
roast grill bake steam stew microwave toast saute broil | mean median mode | sister brother cousin
nephew | wheat barley rye oat corn | kidney liver | mosque church synagogue temple | sculptor
painter poet novelist composer singer dancer actor | oak pine birch maple elm | rose tulip lily
daisy orchid | flute clarinet oboe | ruby diamond emerald sapphire pearl | circle square triangle
rectangle | nitrogen oxygen argon | kilometer mile yard | rename delete copy move sort reverse
merge split | read write execute | sprain fracture | fever cough | novel poem | mayor governor |
senate congress parliament | atom molecule electron proton neutron | virus bacterium fungus
parasite | comma colon semicolon hyphen | noun verb adjective adverb
"""
"""Families, kept apart by bars; a word may belong to several."""
