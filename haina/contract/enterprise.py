"""What enterprise life reports: licences sought and granted, start-ups that come to incubators and leave, jobs."""

from haina.contract.measurement import Field, Measurement

LICENCES = ("founding", "change", "closing")
CASE_EVENTS = ("filed", "granted", "refused")
TENANCY_EVENTS = ("moved_in", "turned_away", "graduated", "closed")

LICENCE_CASE = Measurement(
    "licence_case",
    "enterprise-register",
    "A case of the enterprise office: said when it is filed and when it is decided.",
    (
        Field("number", "int", "1", "The office's number of the case.", 1, 1_000_000_000),
        Field("licence", "str", "1", "What is asked for.", choices=LICENCES),
        Field("event", "str", "1", "What happened.", choices=CASE_EVENTS),
        Field("took_h", "float", "h", "From filing to the decision; 0 when filed.", 0, 1e6, decimals=2),
    ),
)
ENTERPRISES = Measurement(
    "enterprises",
    "enterprise-register",
    "The register of enterprises, hourly.",
    (
        Field("enterprises", "int", "1", "Enterprises on the register, start-ups among them.", 0, 10_000_000),
        Field("jobs", "int", "1", "People who work in them.", 0, 100_000_000),
        Field("open_cases", "int", "1", "Cases filed and not decided.", 0, 1_000_000),
        Field("founded", "int", "1", "Enterprises that came onto the register since the last report.", 0, 1_000_000),
        Field("dissolved", "int", "1", "Enterprises that left it since the last report.", 0, 1_000_000),
    ),
)
STARTUP_TENANCY = Measurement(
    "startup_tenancy",
    "incubator-desk",
    "A start-up moves into an incubator, finds it full, or leaves it.",
    (
        Field("event", "str", "1", "What happened.", choices=TENANCY_EVENTS),
        Field("jobs", "int", "1", "People who work in it.", 0, 1_000_000),
        Field("stayed_d", "float", "d", "How long it was there.", 0, 100_000, decimals=1),
    ),
)
INCUBATOR_TENANTS = Measurement(
    "incubator_tenants",
    "incubator-desk",
    "Who is in an incubator, hourly.",
    (
        Field("offices", "int", "1", "Offices there are.", 0, 100_000),
        Field("startups", "int", "1", "Start-ups, one an office.", 0, 100_000),
        Field("jobs", "int", "1", "People who work in them.", 0, 10_000_000),
    ),
)

ENTERPRISE = (LICENCE_CASE, ENTERPRISES, STARTUP_TENANCY, INCUBATOR_TENANTS)
