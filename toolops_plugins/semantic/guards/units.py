"""Units of measure and currencies, by every form of theirs."""

from __future__ import annotations

__all__ = ["SMALLER", "SUFFIXES", "UNITS"]

UNITS = {
    form: unit
    for unit, *forms in (
        line.split()
        for line in """
        usd $ dollar dollars usd bucks buck
        eur € euro euros eur
        pound £ gbp quid pound pounds lb lbs
        yen ¥ yen jpy
        inr ₹ rupee rupees inr rs
        chf franc francs chf
        cny yuan cny rmb
        cad cad
        aud aud
        cent cent cents
        % % percent percentage pct
        km km kilometer kilometers kilometre kilometres kms
        m meter meters metre metres
        cm cm centimeter centimeters centimetre centimetres
        mm mm millimeter millimeters millimetre millimetres
        mi mile miles mi
        ft foot feet ft
        in inch inches
        yd yard yards yd
        kg kg kilo kilos kilogram kilograms kgs
        g gram grams
        mg mg milligram milligrams
        oz oz ounce ounces
        ton ton tons tonne tonnes
        st_ stone_
        l liter liters litre litres
        ml ml milliliter milliliters millilitre millilitres
        gal gallon gallons gal
        cup cup cups
        tbsp tbsp tablespoon tablespoons
        tsp tsp teaspoon teaspoons
        s second_ seconds sec secs
        min min minute minutes mins
        h hour hours hr hrs
        d day days
        wk week weeks wk wks
        mo month months
        y year years yr yrs
        ms ms millisecond milliseconds
        c celsius °c centigrade
        f fahrenheit °f
        deg degree degrees °
        kelvin kelvin kelvins
        mbps mbps
        gbps gbps
        kbps kbps
        mbit megabit megabits
        gbit gigabit gigabits
        kbit kilobit kilobits
        pb petabyte petabytes
        kb kb kilobyte kilobytes
        mb mb megabyte megabytes
        gb gb gigabyte gigabytes gigs gig
        tb tb terabyte terabytes
        bit bits
        byte byte bytes
        mph mph
        kmh kmh kph km/h
        w watt watts
        kw kw kilowatt kilowatts
        kwh kwh
        v_ volt volts
        amp amp amps ampere amperes
        hp horsepower
        hz hz hertz
        ghz ghz gigahertz
        mhz mhz megahertz
        acre acre acres
        hectare hectare hectares
        sqm sqm
        cal calorie calories kcal
        btc btc
        eth eth
        """.splitlines()
        if line.strip()
    )
    for form in forms
}
"""Units and currencies, by every form of theirs."""

SUFFIXES = UNITS | {"m": "m", "g": "g", "l": "l", "s": "s", "h": "h", "d": "d", "w": "w", "y": "y"}
SUFFIXES |= {"c": "c", "f": "f"}
"""Units as they may follow a figure without a space."""

SMALLER = {
    "#u:wk": ("#u:d", 7),
    "#u:h": ("#u:min", 60),
    "#u:y": ("#u:mo", 12),
    "#u:kg": ("#u:g", 1000),
    "#u:km": ("#u:m", 1000),
    "#u:l": ("#u:ml", 1000),
    "#u:tb": ("#u:mb", 1_000_000),
    "#u:gb": ("#u:mb", 1000),
    "#u:gbps": ("#u:mbps", 1000),
    "#u:kw": ("#u:w", 1000),
    "#u:ghz": ("#u:mhz", 1000),
}
"""Units that are written as smaller ones: a week and seven days agree."""
