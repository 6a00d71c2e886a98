"""What the members of a crew say: who goes where, and how far they have come."""

from haina.contract.measurement import Field, Measurement

MEMBER_STATES = {0: "waiting", 1: "travelling", 2: "working", 3: "returning"}

CREW_MEMBER = Measurement(
    "crew_member",
    "crew-member",
    "A member of a crew that travels (technicians, volunteers, nurses …): on every change, and hourly as a heartbeat.",
    (
        Field("state", "int", "1", "0 waiting, 1 travelling, 2 working, 3 returning.", states=MEMBER_STATES),
        Field("longitude_deg", "float", "°", "Where the member is, WGS-84.", -180, 180, decimals=6),
        Field("latitude_deg", "float", "°", "Where the member is, WGS-84.", -90, 90, decimals=6),
        Field("travel_s", "float", "s", "How long the way ahead takes.", 0, 86_400, required=False, decimals=0),
        Field("destination", "str", "1", "The site travelled to or worked at.", required=False),
        Field("errand", "str", "1", "What for.", required=False),
        Field("crew", "str", "1", "Whose member it is: technician, volunteer and so on.", required=False),
    ),
)

CREW = (CREW_MEMBER,)
