"""What the model of enterprise life can be told."""

from simulator.parameter import ASSUMED, Parameters, parameter


class EnterpriseParameters(Parameters):
    """Parameters of the enterprise offices of a scenario and of the start-ups in its incubators."""

    # The zone's enterprises, outside incubators.
    enterprises: int = parameter(6_000, "1", ASSUMED, "Enterprises of an office's zone at the start.", ge=0, le=100_000)
    jobs_mean: float = parameter(6.0, "1", ASSUMED, "Mean jobs of an enterprise.", ge=1, le=10_000)
    foundings_per_year: float = parameter(
        700.0, "1/a", ASSUMED, "Enterprises founded in an office's zone.", ge=0, le=1e6
    )
    dissolved_per_year: float = parameter(0.11, "1/a", ASSUMED, "Rate at which each is dissolved.", ge=0, le=10)
    changes_per_year: float = parameter(0.35, "1/a", ASSUMED, "Changes that each has registered.", ge=0, le=100)

    # Licences.
    clerks: int = parameter(2, "1", ASSUMED, "Clerks of an office.", ge=1, le=100)
    case_mean_min: float = parameter(35.0, "min", ASSUMED, "Mean work on a case.", gt=0, le=10_000)
    case_cv: float = parameter(0.9, "1", ASSUMED, "CV of it (lognormal).", ge=0, le=5)
    refused_share: float = parameter(0.06, "1", ASSUMED, "Cases that are refused.", ge=0, le=0.9)
    again_after_d: float = parameter(3.0, "d", ASSUMED, "Mean time until the refused are filed again.", gt=0, le=365)

    # Incubators.
    offices: int = parameter(30, "1", ASSUMED, "Offices of an incubator, one for each start-up.", ge=0, le=10_000)
    startups_per_year: float = parameter(24.0, "1/a", ASSUMED, "Start-ups that knock at an incubator.", ge=0, le=1e6)
    stay_mean_d: float = parameter(420.0, "d", ASSUMED, "Mean stay (exponential).", gt=0, le=100_000)
    graduates_share: float = parameter(
        0.6, "1", ASSUMED, "Those that leave to grow; the others are dissolved.", ge=0, le=1
    )
    founders_mean: float = parameter(3.0, "1", ASSUMED, "Mean jobs of a start-up that moves in.", ge=1, le=1_000)
    hires_per_year: float = parameter(0.5, "1/a", ASSUMED, "Rate at which each job brings another.", ge=0, le=100)
    leaves_per_year: float = parameter(0.25, "1/a", ASSUMED, "Rate at which each job but the last ends.", ge=0, le=100)
