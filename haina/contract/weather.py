"""What the town's weather station reports."""

from haina.contract.measurement import Field, Measurement

WEATHER_STATION = Measurement(
    "weather",
    "weather-station",
    "The weather at the town's own station, every 5 minutes.",
    (
        Field("temperature_c", "float", "°C", "Air temperature.", -40, 60, decimals=1),
        Field("humidity_pct", "float", "%", "Relative humidity.", 0, 100, decimals=0),
        Field("pm25_ug_m3", "float", "µg/m³", "Fine particles.", 0, 2_000, decimals=0),
        Field("rain", "bool", "1", "Whether it rains."),
    ),
)

WEATHER = (WEATHER_STATION,)
