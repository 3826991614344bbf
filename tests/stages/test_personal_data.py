"""What is personal data by its form, and what only looks like it."""

import pytest

from realsyn_ops.records import Reason
from realsyn_ops.stages.personal_data import personal_data_reason

EMAIL, IP, PHONE = Reason.EMAIL, Reason.IP_ADDRESS, Reason.PHONE

FOUND = [
    ("Write to jane.doe@example.org for more.", EMAIL, 1),
    ("Send it to a@b.co or c+d@mail.example.com.", EMAIL, 2),
    ("Contact: müller@exämple.de", EMAIL, 1),
    ("Ask o'brien_99@sub.domain.example.museum!", EMAIL, 1),
    ("Mail 12345@163.com today.", EMAIL, 1),
    ("Reach me at <first-last@xn--bcher-kva.example>.", EMAIL, 1),
    ("Write to jane (at) example.org instead.", EMAIL, 1),
    ("Write to jane [at] example [dot] org instead.", EMAIL, 1),
    ("The handle is @jane@mastodon.social there.", EMAIL, 1),
    ("Her address (jane@example.org, 10.0.0.1) leaked.", EMAIL, 1),
    ("The server 203.0.113.7 answered.", IP, 1),
    ("192.168.1.1 is where the router answers.", IP, 1),
    ("Ping 192.168.1.1 and 8.8.8.8, please.", IP, 2),
    ("It listens on 127.0.0.1:8080 only.", IP, 1),
    ("The net 10.0.0.0/8 is private.", IP, 1),
    ("Blocked (198.51.100.23).", IP, 1),
    ("The address 2001:db8::ff00:42:8329 is an example.", IP, 1),
    ("Use fe80::1 or ::1 there.", IP, 2),
    ("It is 2001:0db8:85a3:0000:0000:8a2e:0370:7334 here.", IP, 1),
    ("Mapped as ::ffff:192.0.2.128 it works.", IP, 1),
    ("The gateway [2001:db8:1::2]:443 replied.", IP, 1),
    ("Call +49 30 901820 for help.", PHONE, 1),
    ("Call +1 (555) 123-4567 for help.", PHONE, 1),
    ("Our number is +33 1 23 45 67 89.", PHONE, 1),
    ("Reach us at +442079460958 today.", PHONE, 1),
    ("Dial (555) 123-4567 now.", PHONE, 1),
    ("The office, 555-123-4567, is closed.", PHONE, 1),
    ("The office, 555.123.4567, is closed.", PHONE, 1),
    ("Toll-free 1-800-555-0199 it is.", PHONE, 1),
    ("Ring 020 7946 0958 or 01632 960001.", PHONE, 2),
    ("Berlin (030) 901820 answers.", PHONE, 1),
    ("Mobil 0171/2345678 ist besetzt.", PHONE, 1),
    ("In Paris it is 01 23 45 67 89.", PHONE, 1),
    ("In Paris it is 01.23.45.67.89.", PHONE, 1),
    ("In Tokyo it is 03-1234-5678.", PHONE, 1),
    ("Tel. 5551234, second floor.", PHONE, 1),
    ("Phone number: 555-1234.", PHONE, 1),
    ("Call us at 8005551234 toll-free.", PHONE, 1),
    ("Fax: 07911 123456", PHONE, 1),
]

NOT_FOUND = [
    "Nothing personal stands here at all.",
    "Follow @jane and look at that.",
    "The file icon@2x.png is twice as large.",
    "Log in as root@localhost first.",
    "It costs 5 @ 3.50 each.",
    "Install react@18.2.0 first.",
    "Look (at) me. Then go.",
    "Version 1.2.3.4 came out.",
    "It needs version (2.0.0.1) or later.",
    "Upgrade to v1.2.3.4 today.",
    "The version of the library is 2.7.0.10 there.",
    "Bell invented the telephone (1847-1922).",
    "3.2.2.1. The Colors Menu",
    "3.2.2.1.",
    "See section 4.1.2.3 of the manual.",
    "Chrome 91.0.4472.124 is old.",
    "The value 256.300.1.2 is none.",
    "The numbers 1.2.3.4.5 go on.",
    "It opened at 12:30:45 sharp.",
    "The ratio is 1:2:3, or 1::2.",
    "Dog is to puppy as a:b::c:d.",
    "Call std::vector and abc::def there.",
    "The card 00:1a:2b:3c:4d:5e is new.",
    "The id 00:11:22:33:44:55:66:77 is no address.",
    "Read John 3:16 and 4:1 aloud.",
    "It happened on 2024-01-15 at 12:30.",
    "It happened on 15.01.2024 or 01/02/2024.",
    "It lasted from 1939-1945, not 1914–1918.",
    "The war was called 1914-1918 by nobody; call 1914-1918 so.",
    "Its ISBN is 978-3-16-148410-0.",
    "Its ISBN is 0-306-40615-2 and its ISSN 0378-5955.",
    "About 1,234,567,890 people live there.",
    "About 10 000 000 people live there, +10 000 000 more.",
    "Pi is 3.14159265358979.",
    "The place is 40.712776, -74.005974.",
    "Boston's code is 02134-1234.",
    "The offset is +0100 or +01:00.",
    "The bits are 0110 1101 0010 1111.",
    "Set it to 1920x1080 or 3840x2160 pixels.",
    "It costs $1,500.00 to $2,000.00.",
    "The DOI is 10.1000/182.",
    "The number is 123-45-6789.",
    "Call 911 or dial 112.",
    "The layer is 100-200-300 pixels wide.",
    "The parts 0001 to 0099 are missing.",
    "Scale by 0.25, 0.5, 0.75 and 1.00.",
    "Add +5, +10 and +15 degrees.",
]


@pytest.mark.parametrize(("text", "reason", "n"), FOUND)
def test_addresses_and_numbers_are_found_and_counted(text: str, reason: Reason, n: int) -> None:
    assert personal_data_reason(text) == (reason, float(n))


@pytest.mark.parametrize("text", NOT_FOUND)
def test_versions_dates_and_figures_are_let_through(text: str) -> None:
    assert personal_data_reason(text) is None


@pytest.mark.parametrize(
    "unit",
    ["a", "1", "0", "+1", "1 ", "01 ", "1.", "1-", "a@", "a.", "@a.", "a(at)b", "a(at)b(dot)", ":", "a:", "1:", "::1",
     "(", "+(", "call ", "tel no. ", "555-", "0/", "1.1.1.", "-", "v1."],
)  # fmt: skip
def test_long_hostile_text_is_judged_in_linear_time(unit: str) -> None:
    """A quadratic pattern would take hours on half a million characters; the suite's own limit stops it."""
    for tail in ("", "@\n!x"):
        personal_data_reason(unit * (500_000 // len(unit)) + tail)
