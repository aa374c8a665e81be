"""Common English words from i to p: see :mod:`.real_words`."""

from __future__ import annotations

__all__ = ["WORDS"]

WORDS = """
ibuprofen ice iceberg icicle icing icon icy idea ideal idealism identical identification identifier
identify identity ideology idiom idiot idle idol igloo ignition ignorance ignorant ignore ill
illegal illegally illegible illiterate illness illuminate illumination illusion illustrate
illustration illustrator image imaginary imagination imaginative imagine imbalance imitate
imitation immature immediate immediately immense immerse immigrant immigrate immigration imminent
immoral immortal immune immunity immunization immunotherapy impact impair impaired impairment
impartial impatient impeach imperative imperfect imperial imperialism impersonal implant implement
implementation implication implicit imply impolite import importance important importer impose
impossible impostor impress impression impressive imprison imprisonment improper improve
improvement improvise impulse impulsive inability inaccurate inactive inadequate inappropriate
inbound inbox incapable incense incentive inch incident incidental inclination incline include
included including inclusion inclusive incognito income incoming incompatible incompetent
incomplete inconsistent inconvenience inconvenient incorporate incorrect increase increasing
increasingly incredible increment incubate incubator incur indeed indefinite independence
independent index indexer indicate indication indicator indict indifferent indigenous indigestion
indirect individual individually indoor indoors induce induction indulge industrial
industrialization industry inefficient inequality inevitable inexpensive infamous infancy infant
infantry infect infected infection infectious infer inferior infertile infertility infidelity
infinite infinity inflammable inflammation inflammatory inflatable inflate inflation influence
influencer influential influenza infographic inform informal information informative infrared
infrastructure infringement ingredient inhabit inhabitant inhale inhaler inherent inherit
inheritance inhibit initial initialize initially initiate initiative inject injection injure
injured injury injustice ink inkjet inland inmate inn inner innocence innocent innovate innovation
innovative input inquire inquiry insane insanity inseam insect insecticide insecure insert inside
insider insight insignificant insist insolvent insomnia inspect inspection inspector inspiration
inspirational inspire install installation installer installment instance instant instantly instead
instinct institute institution institutional instruct instruction instructor instrument
instrumental insufficient insulate insulation insulin insult insurance insure insurer intact intake
integer integral integrate integrated integration integrity intellect intellectual intelligence
intelligent intend intense intensity intensive intent intention intentional interact interaction
interactive intercept interchange intercom intercourse interdental interest interested interesting
interface interfere interference interim interior intermediate intermittent intern internal
international internet internship interpret interpretation interpreter interrogate interrupt
interruption intersect intersection interval intervene intervention interview interviewer intestine
intimate intimidate into intolerance intolerant intranet intricate intriguing intrinsic introduce
introduction introductory introvert intrude intruder intuition intuitive invade invader invalid
invasion invasive invent invention inventor inventory inverse invert invertebrate invest
investigate investigation investigator investment investor invisible invitation invite invoice
invoicing involuntary involve involvement iodine ireland iron ironic ironing irony irrational
irregular irrelevant irrigate irrigation irritable irritate irritating irritation island islander
isolate isolation isotope issue italic item itemize itinerary itself ivory ivy jackal jacket
jackpot jaguar jail jam janitor jar jargon jasmine jaundice javelin jaw jazz jealous jealousy jeans
jelly jellyfish jeopardy jersey jet jetlag jetpack jetski jewel jeweler jewellery jewelry jigsaw
jingle job jockey jogger jogging join joint joke joker jolly journal journalism journalist journey
joy joyful joystick judge judgement judgment judicial judiciary juggle juice juicy jumbo jump
jumper jumpstart jumpsuit junction jungle junior juniper junk jurisdiction juror jury just justice
justification justify juvenile kangaroo karaoke karate kayak kebab keen keep keeper kennel kept
kernel kerosene ketchup kettle key keyboard keychain keyhole keynote keypad keyword kick kid kidnap
kidnapper kidney kill killer kilobyte kilogram kilometer kilometre kilowatt kimchi kind
kindergarten kindness kinetic king kingdom kiosk kiss kit kitchen kite kitten knead knee kneel knew
knife knight knit knitting knob knock knot know knowledge knowledgeable knuckle koala kombucha
kosher label labor laboratory laborer labour lace lack lactose ladder ladle lady ladybug lagoon
lake lamb lame lamp lampshade land landfill landing landlady landline landlord landmark landscape
landslide lane language lantern lap lapse laptop large larva laryngitis lasagna laser last latch
late latent later lateral lathe latitude latter laugh laughter launch launder launderette
laundromat laundry lava lavatory lavender lavish law lawful lawn lawnmower lawsuit lawyer laxative
lay layer layout layover lazy lead leader leaderboard leadership leading leaf leaflet league leak
leakage leaky lean leap learn learner learning lease leash least leather leave lecture lecturer led
ledge ledger leek left leftover leg legacy legal legalize legally legend legendary legging leggings
legible legion legislation legislative legislator legislature legitimate leisure lemon lemonade
lemongrass lend lender lending length lengthen lengthy lens lent lentil leopard leprosy less lesser
lesson let lethal lethargic letter lettuce leukemia level lever leverage levy liability liable
liaison liar libel liberal liberate liberation liberty librarian library licence license lick lid
lie lieutenant life lifeboat lifebuoy lifeguard lifelong lifespan lifestyle lifetime lift ligament
light lightbulb lighten lighter lighthouse lighting lightning lightweight like likelihood likely
likewise lilac lily limb lime limestone limit limitation limited limousine limp line linear linen
liner linger lingerie linguist linguistic linguistics lining link linoleum lion lioness lip
lipstick liquid liquidate liquidity liquor lira list listen listener listing liter literacy literal
literally literary literate literature lithium litigation litter little live lived liver livestock
living lizard llama load loader loaf loan lobby lobster local locate location lock locker locking
locksmith locomotive locust lodge lodger lodging loft lofty log logging logic logical login
logistics logo lone loneliness lonely long longevity longitude look looking lookup loop loophole
loose loosen lord lorry lose loss lossless lost lot lotion lottery lotus loud loudspeaker lounge
lousy love lovely lover loving low lower lowercase lowland loyal loyalty lozenge lubricant
lubricate luck lucky lucrative luggage lukewarm lullaby lumber luminous lump lunar lunch lunchbox
lunchtime lung lupus lure lurk lush lust luxurious luxury lying lyric lyrics macaroni machine
machinery machinist mackerel macro mad made madness magazine maggot magic magical magician
magistrate magnesium magnet magnetic magnetism magnificent magnify magnitude magpie mahogany maid
maiden mail mailbox mailman main mainframe mainland mainstay mainstream maintain maintenance
majestic majesty major majority make makeover makeup making malaria male malfunction malicious mall
mallet malnutrition malpractice malware mammal mammoth man manage manageable management manager
managerial mandate mandatory mandolin mane maneuver mango maniac manicure manifest manipulate
manipulation mankind manner manor manpower mansion mantle manual manually manufacture manufacturer
manufacturing manure manuscript many map maple mapping marathon marble march margarine margin
marginal marigold marijuana marinade marinara marinate marine mariner marital maritime mark marker
market marketer marketing marketplace marmalade marriage married marrow marry marsh marshal
marshmallow martial martyr marvel marvelous mascara mascot masculine mask mass massacre massage
masseur massive mast master masterpiece masters mat match matcha matchmaking mate material
materialism maternal maternity math mathematical mathematician mathematics matrix matter mattress
mature maturity maximize maximum may mayonnaise mayor maze meadow meal mean meaning meaningful
meaningless meantime meanwhile measles measure measurement meat mechanic mechanical mechanics
mechanism medal media median mediate mediation mediator medical medicare medication medicinal
medicine medieval mediocre meditate meditation mediterranean medium meet meeting megabyte melanoma
melody melon melt meltdown member membership membrane memo memoir memorable memorial memorise
memorize memory menace mending meningitis menopause menstrual menstruation mental mentality mention
mentor menu mercenary merchandise merchant merciful mercury mercy merge merger merging merit
mermaid merry mesh mess message messaging messenger messy met metabolic metabolism metal metallic
metamorphosis metaphor meteor meteorite meteorology meter method methodology metric metro
metropolis metropolitan mezzanine mice microbe microbiology microchip microphone microprocessor
microscope microscopic microservice microwave midday middle middleman middleware midnight midst
midsummer midterm midway midwife midwinter might migraine migrant migrate migration mild mildew
mile mileage milestone militant military militia milk milkshake mill millennium miller millet
milliliter millimeter million millionaire mime mimic mince mind mindful mindset mine miner mineral
mingle miniature minimal minimalist minimize minimum mining minister ministry minivan minor
minority mint minus minute miracle miraculous mirror misbehave miscarriage miscellaneous mischief
misconduct misdemeanor miserable misery misfortune mishap misinterpret mislead misleading misplace
misprint miss missile missing mission missionary misspell mist mistake mistaken mistakenly
mistletoe mistress mistrust misty misunderstand misunderstanding misuse mitigate mitten mix mixer
mixture moan mobile mobility mockery mode model modem moderate moderation moderator modern
modernize modest modification modify modular module moist moisten moisture moisturize moisturizer
mold moldy mole molecular molecule molest molten moment momentum monarch monarchy monastery monday
monetary monetize money monitor monk monkey monologue monopoly monsoon monster month monthly
monument mood moody moon moonlight mop mopping moral morale morality morbid more moreover morgue
morning mortal mortality mortar mortgage mosaic mosque mosquito moss most motel moth mother
motherboard motherhood motion motivate motivation motive motor motorbike motorcycle motorcyclist
motorist motorway mould mound mount mountain mountaineer mourn mourning mouse mousse moustache
mouth mouthful mouthwash movable move movement movie mow mower mozzarella much mucus mud muddy
muffin mug mule multimedia multinational multiplayer multiple multiplication multiply multitask
multitasking multitude mumble mummy mumps municipal municipality mural murder murderer murky murmur
muscle muscular museum mushroom music musical musician muslim mussel mustache mustard mutate
mutation mute mutex mutiny mutter mutton mutual muzzle mysterious mystery mystic myth mythical
mythology nacho nail naive naked name namely namespace nanny nap napkin narcotic narrate narration
narrative narrator narrow nasal nasty nation national nationalism nationality nationwide native
natural naturally nature naughty nausea nauseous naval navel navigate navigation navigator navy
near nearby nearly neat necessarily necessary necessity neck necklace neckline necktie nectar
nectarine need needle needless negative neglect negligence negligent negligible negotiable
negotiate negotiation neighbor neighborhood neighbour neighbourhood nephew nerve nervous nest net
nettle network networking neural neurologist neurology neuron neuter neutral neutron never
nevertheless new newborn newcomer newly news newsfeed newsletter newspaper next nibble nice nickel
nickname nicotine niece night nightclub nightfall nightgown nightingale nightlife nightmare
nightstand nighttime nine nitrate nitrogen nobility noble nobleman nocturnal noise noisy nomad
nominate nomination nominee none nonfiction nonprofit nonrefundable nonsense nonsmoking nonstick
nonstop noodle noon nor norm normal normalize normally north northern nose nostalgia nostril not
notable notarize notary notation note notebook noteworthy notice noticeable noticeboard
notification notify notion notorious noun nourish nourishment novel novelist novelty novice now
nowadays nowhere nozzle nuance nuclear nucleus nude nuisance numb number numbness numeral numeric
numerical numerous nun nurse nursery nursing nurture nut nutmeg nutrient nutrition nutritional
nutritionist nutritious nylon oak oar oasis oath oatmeal oatmilk oats obedient obese obesity obey
obituary object objection objective obligation obligatory oblige oblique oblivion obscene obscure
observation observatory observe observer obsess obsession obsolete obstacle obstinate obstruct
obstruction obtain obvious obviously occasion occasional occasionally occupancy occupant occupation
occupational occupy occur occurrence ocean octagon octane octave octopus odd oddly odds odor off
offboarding offence offend offender offense offensive offer offering office officer official
officially offline offset offshore offside offspring often oil ointment okay old olive omelet
omelette omen omit onboarding once oncology one ongoing onion online only onset onshore onto onward
opaque open opened opener opening opera operate operating operation operational operator opinion
opium opponent opportunity oppose opposite opposition oppress oppression optic optical optician
optimal optimise optimism optimist optimistic optimization optimize optimum option optional oracle
oral orange orbit orchard orchestra orchid ordeal order orderly ordinal ordinance ordinarily
ordinary oregano organ organic organisation organise organism organization organize organizer
orgasm orient oriental orientation origami origin original originally originate ornament ornamental
orphan orphanage orthodontist orthodox orthopedic osmosis osteopath osteoporosis ostrich other
otherwise otter ought ounce our ourselves out outage outbreak outburst outcast outcome outcry
outdated outdoor outdoors outer outfit outgoing outing outlaw outlet outlier outline outlive
outlook outnumber outpatient outpost output outrage outrageous outright outset outside outsider
outskirts outsource outspoken outstanding outward outweigh oval ovary oven over overall overboard
overcharge overclock overcoat overcome overcook overcrowded overdose overdraft overdraw overdue
overestimate overflow overhaul overhead overhear overheat overlap overload overlook overnight
override overseas oversee overshadow oversight oversleep overtake overthrow overtime overtone
overturn overview overweight overwhelm overwhelming overwork overwrite ovulation owe owl own owner
ownership oxidation oxide oxidize oxygen oyster ozone pace pacemaker pacific pacifier pacifist pack
package packaging packet packing pad paddle padlock paella pagan page pageant pager paid pail pain
painful painkiller painless paint painter painting pair palace palate pale palette pallet palm
pamphlet pan pancake pancreas panda pandemic panel panic panorama panoramic panther pantry pants
pantyhose papaya paper paperback papercut paperless paperwork paprika parachute parade paradise
paradox paragraph parakeet parallel paralyse paralysis paralyze paramedic parameter paramount
paranoid paraphrase parasite parasitic parcel parchment pardon parent parental parenthesis
parenthood parenting parish parity park parking parliament parliamentary parlor parmesan parody
parole parrot parser parsley parsnip part partial partially participant participate participation
particle particular particularly parting partition partly partner partnership parttime party pass
passage passcode passenger passerby passing passion passionate passive passphrase passport password
past pasta paste pastel pastime pasting pastor pastry pasture patch patent paternal paternity path
pathetic pathogen pathologist pathology pathway patience patient patients patio patriot patriotic
patriotism patrol patron pattern pause pave pavement pavilion paw pay payable payback paycheck
payday paying payment payroll payslip paywall pea peace peaceful peach peacock peak peanut pear
pearl peasant pebble pecan peculiar pedal pedestrian pediatric pediatrician pedicure pedigree peel
peeler peer pelican pellet pelvis pen penalize penalty pencil pendant pending pendulum penetrate
penguin penicillin peninsula penis penny pension pensioner penthouse people pepper peppermint
pepperoni perceive percent percentage perception perch percussion perennial perfect perfection
perfectly perform performance performer perfume perhaps peril perimeter period periodic periodical
periodically peripheral perish perjury permanent permanently permission permit perpendicular
perpetual persecute persecution persevere persist persistence persistent person persona personal
personality personalize personally personnel perspective perspiration persuade persuasion
persuasive pessimism pessimist pessimistic pest pesticide pesto pet petal petite petition petrol
petroleum petty pharaoh pharmaceutical pharmacist pharmacy phase pheasant phenomenon philosopher
philosophical philosophy phishing phobia phoenix phone phoneme phonetic phosphate phosphorus photo
photocopier photocopy photograph photographer photographic photography photon photosynthesis phrase
physical physically physician physicist physics physiology physiotherapist physiotherapy pianist
piano pick pickle pickled pickpocket pickpocketing pickup picnic picture picturesque pie piece pier
piercing pig pigeon pigment pigtail pilates pile pill pillar pillow pillowcase pilot pimple pin
pinball pinch pine pineapple pinecone pink pinpoint pint pinyin pioneer pipe pipeline piracy pirate
pistachio pistol piston pit pitch pitcher pitfall pity pivot pixel pizza place placebo placeholder
placement placenta plague plaid plain plaintiff plan plane planet planetary planing plank plankton
planner planning plant plantation planter plaque plasma plaster plastic plate plateau platform
platinum platter plausible play player playful playground playing playlist playoff playwright plaza
plea plead pleasant please pleased pleasing pleasure pleat pledge plentiful plenty pliers plot
plough plow plug plugin plum plumber plumbing plume plunge plural plus plywood pneumonia poacher
pocket pocketknife podcast podiatrist poem poet poetic poetry point pointing poison poisoning
poisonous poke poker polar polarize pole police policeman policewoman policy policyholder polio
polish polite politeness political politician politics poll pollen pollinate pollination polling
pollster pollutant pollute pollution polo polyester polygon polynomial pomegranate pond pony
ponytail pool poor pop popcorn poppy popular popularity populate population popup porcelain porch
porcupine pore pork porous porridge port portable portal porter portfolio portion portrait portray
portrayal pose poseidon position positive possess possession possibility possible possibly post
postage postal postcard postcode poster postgraduate posting postman postpartum postpone posture
pot potassium potato potent potential potentially pothole pottery pouch poultry pound pour poverty
powder powdered power powerful powerless powerpoint practical practically practice practise
practitioner prairie praise prawn pray prayer praying preach preacher precaution precede precedent
precinct precious precipitation precise precisely precision predator predecessor predict
predictable prediction preface prefer preferable preferably preference prefix pregnancy pregnant
prehistoric prejudice preliminary prelude premature premier premiere premise premises premium
prenatal prenuptial preorder prepaid preparation prepare prepared prepay preposition preschool
prescribe prescription presence present presentation presenter presently presents preservation
preservative preserve presidency presidential press pressing pressure prestige prestigious
presumably presume preteen pretend pretty pretzel prevail prevalent prevent preventable prevention
preventive preview previous previously prey price pricey pride priest primarily primary primate
prime primitive primrose prince princess principal principle print printer printing prior
prioritize priority prison prisoner pristine privacy private privately privilege privileged prize
probability probable probably probation probe probiotic problem problematic procedural procedure
proceed proceeding process procession processor proclaim procrastinate procrastination procure
produce producer product productive productivity profession professional professor proficiency
proficient profile profit profitability profitable profound prognosis program programme programmer
programming progress progression progressive prohibit prohibition project projection projector
prolong prom prominent promise promising promote promotion promotional prompt promptly pronoun
pronounce pronunciation proof proofread propaganda propel propeller proper properly property
prophecy prophet proportion proportional proposal propose proposition proscribe prosecute
prosecution prosecutor prospect prospective prosper prosperity prosperous prostate prostitute
prostitution protagonist protect protection protective protector protein protest protester protocol
proton prototype protractor proud prove proven proverb provide provider province provincial
provision provisional provoke proximity proxy prune psychiatric psychiatrist psychiatry psychic
psychological psychologist psychology psychopath puberty public publication publicity publicly
publish publisher publishing pudding puddle puff pull pulley pullover pulp pulse puma pump pumpkin
punch punctual punctuality punctuation puncture punish punishment pupil puppet puppy purchase
purchaser pure purify purity purple purpose purse pursue pursuit push put puzzle puzzled pyjamas
pyramid python
"""
"""Words, in order; regular inflections are left out."""
