"""Names of places and people: what tells a misspelt name from another name.

Beside those of :mod:`.siblings`. A name that is known is no typing error of another known one.
"""

from __future__ import annotations

__all__ = ["NAMES"]

NAMES = """
manchester liverpool birmingham leeds sheffield bristol newcastle nottingham leicester coventry
cardiff swansea belfast glasgow aberdeen dundee oxford cambridge brighton portsmouth southampton
plymouth exeter norwich york bath lancaster durham canterbury reading luton gatwick heathrow
stansted cork galway limerick houston memphis nashville charlotte baltimore milwaukee minneapolis
cleveland columbus cincinnati pittsburgh buffalo rochester sacramento oakland fresno tucson
albuquerque omaha tulsa wichita raleigh richmond norfolk tampa jacksonville savannah charleston
orleans honolulu anchorage alaska hawaii illinois indiana michigan minnesota wisconsin missouri
mississippi alabama tennessee kentucky louisiana oklahoma nebraska dakota montana wyoming idaho
maine vermont hampshire massachusetts connecticut delaware maryland pennsylvania carolina
washington jersey brooklyn manhattan bronx queens harlem quebec ontario alberta manitoba calgary
edmonton winnipeg halifax regina tijuana cancun guadalajara monterrey bogota medellin lima quito
cusco santiago valparaiso montevideo asuncion caracas havana kingston nassau salvador recife
brasilia rio paulo rotterdam hague utrecht eindhoven groningen antwerp ghent bruges liege bonn
stuttgart dusseldorf dortmund essen leipzig dresden nuremberg hanover bremen potsdam salzburg graz
linz innsbruck bratislava ljubljana zagreb split dubrovnik belgrade sarajevo skopje tirana
podgorica sofia bucharest cluj chisinau kiev kyiv odessa lviv minsk vilnius riga tallinn gdansk
krakow wroclaw poznan lodz katowice brno ostrava debrecen szeged thessaloniki patras crete rhodes
cyprus nicosia valletta malta palermo catania sicily sardinia bologna verona pisa genoa bari
trieste bergamo porto faro braga coimbra madeira azores malaga granada cordoba bilbao zaragoza
mallorca ibiza tenerife canary marseilles bordeaux toulouse nantes lille strasbourg rennes cannes
monaco corsica normandy brittany provence lausanne lucerne lugano reykjavik bergen trondheim
stavanger gothenburg malmo uppsala aarhus odense turku tampere izmir antalya bursa tehran baghdad
damascus beirut amman jerusalem tel aviv haifa riyadh jeddah mecca medina doha manama muscat abu
dhabi sharjah kabul karachi lahore islamabad dhaka kolkata hyderabad pune jaipur ahmedabad goa
kerala punjab gujarat colombo lanka maldives kathmandu tibet lhasa yangon myanmar burma phuket
pattaya chiang vientiane saigon danang penang borneo java sumatra bali cebu davao brunei timor
shenzhen guangzhou wuhan chengdu xian macau taipei kaohsiung busan incheon pyongyang sapporo nagoya
fukuoka hiroshima nagasaki yokohama kobe nara darwin cairns hobart adelaide canberra tasmania
queensland fiji samoa tonga hawaii casablanca marrakesh rabat fez tangier tunis tripoli algiers
alexandria luxor giza khartoum addis ababa mombasa kampala kigali rwanda burundi congo kinshasa
luanda lusaka harare durban pretoria soweto cameroon gabon senegal dakar ivory togo benin liberia
sierra leone guinea mauritius madagascar seychelles lesotho eswatini malawi eritrea djibouti
mauritania burkina faso andorra liechtenstein greenland bahamas barbados trinidad tobago dominica
grenada belize honduras nicaragua guatemala panama costa rica puerto suriname guyana kyrgyzstan
tajikistan turkmenistan azerbaijan vatican nepalese croatian hungarian romanian bulgarian serbian
ukrainian belarusian austrian belgian swiss scottish irish welsh british english european canadian
mexican brazilian argentinian chilean colombian peruvian cuban jamaican moroccan egyptian nigerian
kenyan ethiopian african israeli lebanese syrian iranian iraqi saudi pakistani bangladeshi
vietnamese thai malaysian indonesian filipino australian american indian asian adam adrian alan
albert alex alexander alfred alice alison amanda amelia amy andrea andrew angela ann anna anne
anthony antonio arthur barbara barry benjamin bernard beth betty bill bob bobby brad brandon brenda
brian bruce bryan carl carla carlos carmen carol caroline catherine cecilia chad charlie charlotte
chloe chris christian christina christine christopher cindy claire clara clark claudia colin connor
craig crystal cynthia daniel danielle darren dave david dawn dean deborah debra dennis derek diana
diane dominic donald donna dorothy doug douglas dylan edgar edith edward edwin eileen elaine
eleanor elena elizabeth ella ellen emily emma eric erica erik ethan eugene eva evan evelyn felix
fiona frances francis frank fred frederick gabriel gary george gerald gloria gordon grace graham
greg gregory hannah harold harriet harry heather hector helen henry holly howard hugo ian isaac
isabel isabella ivan jack jackie jacob jade jake jamie jane janet janice jasmine jason jay jean
jeff jeffrey jennifer jenny jeremy jerry jesse jessica jill jim jimmy joan joanna joe joel johan
johanna john johnny jonathan jordan jose joseph joshua joyce juan judith judy julia julian julie
julius justin karen karl kate katherine kathleen kathy katie keith kelly ken kenneth kevin kim
kimberly kirsten kurt kyle larry laura lauren laurence lawrence leah lee leo leon leonard leslie
lewis liam lillian linda lisa logan lois louis louise lucas lucy luis luke lydia lynn madison
malcolm marcus margaret maria marie marilyn mario marion mark marta martha martin mary mason mateo
matilda matt matthew maurice max megan melanie melissa michael michelle miguel mike miles mohammed
molly monica morgan muhammad nancy naomi natalie natasha nathan neil nicholas nick nicola nicole
nigel nina noah nora norman oliver olivia omar oscar owen pablo pamela patricia patrick paul paula
pauline pedro peggy penelope peter phil philip phillip phoebe phyllis rachel ralph ray raymond
rebecca regina renee richard rick rita robert roberta robin roger roland ronald rory rosa rosemary
ross roy russell ruth ryan sally sam samantha samuel sandra sara sarah scott sean sebastian sharon
sheila shirley sidney simon sophia sophie stanley stefan stella stephanie stephen steve steven
stuart susan suzanne sylvia tara ted teresa terry theodore theresa thomas tim timothy tina todd tom
tommy tony tracy trevor tyler valerie vanessa vera veronica victor victoria vincent violet virginia
vivian walter wanda warren wayne wendy wesley william willie xavier yolanda yvonne zachary zoe
einstein newton darwin galileo shakespeare dickens austen tolkien orwell hemingway mozart beethoven
bach chopin picasso gogh monet rembrandt vinci michelangelo napoleon caesar cleopatra lincoln
washington churchill hitler stalin lenin gandhi mandela kennedy obama trump biden clinton bush
reagan nixon thatcher blair putin merkel macron plato aristotle socrates freud marx nietzsche kant
messi ronaldo beckham federer nadal djokovic serena jordan lebron beyonce taylor rihanna adele
madonna elvis beatles starbucks walmart tesco asda aldi lidl sainsbury costco target ikea nike
adidas puma gucci zara uber lyft airbnb booking expedia ryanair easyjet lufthansa emirates delta
united barclays hsbc santander monzo revolut natwest lloyds citibank chase fargo vodafone verizon
comcast siemens bosch philips panasonic toshiba lenovo dell asus acer huawei xiaomi oneplus
motorola canon nikon porsche ferrari lamborghini fiat renault peugeot citroen skoda seat subaru
suzuki mitsubishi chevrolet dodge jeep tesla boeing airbus pfizer moderna spotify dropbox evernote
photoshop illustrator excel powerpoint outlook onenote sharepoint salesforce shopify wordpress
squarespace wix canva figma trello asana jira notion duolingo coursera udemy wikipedia chatgpt
openai claude gemini copilot alexa siri kindle fitbit garmin gopro roomba nespresso
"""
"""Names in lower case, kept apart by white space."""
