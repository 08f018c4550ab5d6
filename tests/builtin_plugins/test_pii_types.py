import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway_builtin_plugins.pii_filter import PiiFilter
from plugway_builtin_plugins.pii_filter.cards import is_card, luhn
from plugway_builtin_plugins.pii_filter.ibans import IBAN_LENGTHS, mod97
from plugway_hookspecs import Context, Operation, Scope, ToolResult

PII = PiiFilter(PiiFilter.Config(), name="pii")


def masked(text: str) -> str:
    context = Context(Operation(id="1", method="tools/call"), Scope("pii"))
    answer = PII.tool_post_invoke(ToolResult(content=[{"type": "text", "text": text}]), context)
    with pytest.raises(StopIteration) as done:  # it waits for nobody
        answer.send(None)
    result = done.value.value
    assert result is None or isinstance(result, ToolResult)
    return text if result is None else str(result.content[0]["text"])


def wide(text: str) -> str:
    """Return ASCII text in full-width characters."""
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail john@example.com now", "mail [EMAIL] now"),
        ("John.O'Reilly+x_y-z@mail.example.co.uk.", "[EMAIL]."),
        ("<a@b.io>,'c@d.org'", "<[EMAIL]>,'[EMAIL]'"),
        ("?to=john%40example.com&x=1", "?to=[EMAIL]&x=1"),
        ("mailto:jürgen@müller.de", "mailto:[EMAIL]"),
        ("иван@пример.рф", "[EMAIL]"),
        ("联系john@example.com。谢谢", "联系[EMAIL]。谢谢"),
        ("用户@例子.公司", "[EMAIL]"),
        (wide("john@example.com"), "[EMAIL]"),
        ("a@xn--e1afmkfd.xn--p1ai", "[EMAIL]"),
        ("\ud800 john@example.com \udfff", "\ud800 [EMAIL] \udfff"),
    ],
)
def test_email_addresses_are_found(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("call +1 415-555-0123.", "call [PHONE]."),
        ("(415) 555-0123 or 415.555.0123 or 415 555 0123", "[PHONE] or [PHONE] or [PHONE]"),
        ("tel(415) 555-0123", "tel[PHONE]"),
        ("+49 (0)30 1234-567", "[PHONE]"),
        ("+442079460958", "[PHONE]"),
        ("+1 415-555-0123 1234 Main St", "[PHONE] 1234 Main St"),
        ("+44 20 7946 0958 12345", "[PHONE] 12345"),
        ("+1 415-555-0123(415) 555-0123", "[PHONE][PHONE]"),
        ("0044 20 7946 0958", "[PHONE]"),
        ("phone: 4155550123", "phone: [PHONE]"),
        ('"mobile_number": "07700 900123"', '"mobile_number": "[PHONE]"'),
        ("Telefon 030 1234567", "Telefon [PHONE]"),
        ("+٤٩٣٠١٢٣٤٥٦٧", "[PHONE]"),
    ],
)
def test_telephone_numbers_are_found(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123-45-6789", "[SSN]"),
        ("123 45 6789!", "[SSN]!"),
        ("123\N{EN DASH}45\N{EN DASH}6789", "[SSN]"),
        ("SSN 123456789", "SSN [SSN]"),
        ("social security number is 123-45-6789", "social security number is [SSN]"),
    ],
)
def test_social_security_numbers_are_found(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4111111111111111", "[CREDIT_CARD]"),
        ("4111 1111 1111 1111 exp 12/27", "[CREDIT_CARD] exp 12/27"),
        ("4111 1111 1111 1111 12/27", "[CREDIT_CARD] 12/27"),
        ("4111-1111-1111-1111.", "[CREDIT_CARD]."),
        ("4111.1111.1111.1111", "[CREDIT_CARD]"),
        ("3782 822463 10005", "[CREDIT_CARD]"),
        ("4222222222222", "[CREDIT_CARD]"),
        ("6304 9000 1774 0292 441", "[CREDIT_CARD]"),
        ("5555555555554444,6011111111111117", "[CREDIT_CARD],[CREDIT_CARD]"),
        ("card=4111111111111111", "card=[CREDIT_CARD]"),
        ("2024 2025 4111 1111 1111 1111 2026", "2024 2025 [CREDIT_CARD] 2026"),
        ("4111\N{NO-BREAK SPACE}1111 1111 1111", "[CREDIT_CARD]"),
        (wide("4111111111111111"), "[CREDIT_CARD]"),
    ],
)
def test_card_numbers_are_found(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IBAN DE89 3704 0044 0532 0130 00 EUR 500", "IBAN [IBAN] EUR 500"),
        ("GB82WEST12345698765432", "[IBAN]"),
        ("gb82west12345698765432", "[IBAN]"),
        ("NO93 8601 1117 947, FR14 2004 1010 0505 0001 3M02 606", "[IBAN], [IBAN]"),
        ("AB12 then DE89370400440532013000", "AB12 then [IBAN]"),
        ("MT84MALT011000012345MTLCAST001S", "[IBAN]"),
        ("DE89-3704-0044-0532-0130-00", "[IBAN]"),
    ],
)
def test_bank_account_numbers_are_found(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from 192.168.1.17:8080", "from [IP]:8080"),
        ("10.0.0.0/8", "[IP]/8"),
        ("host 8.8.8.8.", "host [IP]."),
        ("2001:db8::1, fe80::1%eth0", "[IP], [IP]%eth0"),
        ("[2001:db8:0:0:0:0:2:1]", "[[IP]]"),
        ("::ffff:192.0.2.128", "[IP]"),
    ],
)
def test_ip_addresses_are_found(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("passport no: X1234567", "passport no: [PASSPORT]"),
        ("Passport number is 533380006.", "Passport number is [PASSPORT]."),
        ("Reisepass C01X00T47? C12345678", "Reisepass C01X00T47? [PASSPORT]"),
        ("pasaporte AAA123456", "pasaporte [PASSPORT]"),
    ],
)
def test_passport_numbers_are_found_where_passports_are_mentioned(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("born 3 Feb 1980", "born [DATE_OF_BIRTH]"),
        ("Date of birth: 1980-02-03", "Date of birth: [DATE_OF_BIRTH]"),
        ("DOB (mm/dd/yyyy): 02/03/1980", "DOB (mm/dd/yyyy): [DATE_OF_BIRTH]"),
        ("d.o.b. February 3rd, 1980", "d.o.b. [DATE_OF_BIRTH]"),
        ("was born on the 3rd of March 1980 in", "was born on the [DATE_OF_BIRTH] in"),
        ("geboren am 3.2.1980", "geboren am [DATE_OF_BIRTH]"),
        ('"date_of_birth": "1980-02-03"', '"date_of_birth": "[DATE_OF_BIRTH]"'),
        ('"birthDate":"19800203"', '"birthDate":"[DATE_OF_BIRTH]"'),
    ],
)
def test_dates_of_birth_are_found_where_birth_is_mentioned(text: str, expected: str) -> None:
    assert masked(text) == expected


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"


@pytest.mark.parametrize(
    "key",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2_" * 16,
        "glpat-" + "a1B2-" * 5,
        "xoxb-123456789012-abcdefABCDEF",
        "AIza" + "a1B2-" * 7,
        "sk_live_" + "a1B2" * 6,
        "rk_test_" + "a1B2" * 6,
        "sk-" + "a1B2" * 12,
        "sk-proj-" + "a1B2_" * 10,
        "sk-ant-api03-" + "a1B2_" * 10,
        "hf_" + "aBcD" * 9,
        "npm_" + "a1B2" * 9,
        "SG." + "a1B2" * 5 + "." + "c3D4" * 10,
        JWT,
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQ\n-----END PGP PRIVATE KEY BLOCK-----",
    ],
)
def test_credentials_are_found_whole(key: str) -> None:
    assert masked(f"key {key}, thanks") == "key [API_KEY], thanks"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://admin:hunter2@db/x", "postgres://admin:[API_KEY]@db/x"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer [API_KEY]"),
        ("AWS_SECRET_ACCESS_KEY=" + "a1B2/" * 8, "AWS_SECRET_ACCESS_KEY=[API_KEY]"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "[API_KEY]"),
    ],
)
def test_credentials_are_found_by_what_stands_before_them(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "see you on 2024-01-15 at 10:22:33",
        "version 1.2.3.4.5 and v10.0.0.1",
        "127.0.0.1, 0.0.0.0, 255.255.255.0, ::1, ::",
        "std::vector<int> abc::def dead::beef 00:1A:2B:3C:4D:5E",
        "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000",
        "4111111111111112 1234567890123456 1700000000000",
        "0.4539148273641239 142.85714285714286",
        "550e8400-e29b-41d4-a716-446655440000 12345678-1234-4123-8123-123456789012",
        "DE89 3704 0044 0532 0130 01, GB82WEST12345698765433",
        "pi is +3.1415926, latitude +37.7749295",
        "200 300 4000 5000, 123 45 6789 12",
        "tasks: sk-learn, risk-assessment-and-other-kebab-case-words",
        "user@localhost @handle foo@ a@1.2.3",
        "order X1234567 was shipped on 3 Feb 1980",
        "2024-11-05 415-555",
        "id a4111111111111111b _4111-1111-1111-1111a",
        "DE89 3704 0044 0532 01",
        "300.1.1.1 and 1.2.3.999 and 12345::1",
        "'@example.com",
        "12-415-555-0123-99",
    ],
)
def test_what_only_looks_like_personal_data_stays(text: str) -> None:
    assert masked(text) == text


@given(st.integers(min_value=0, max_value=10**14 - 1).map(lambda number: f"{number:014}"))
def test_exactly_one_check_digit_makes_a_card_number(digits: str) -> None:
    number = "4" + digits
    valid = [check for check in "0123456789" if luhn(number + check)]
    assert len(valid) == 1
    assert is_card(number + valid[0])
    for check in "0123456789":
        expected = "[CREDIT_CARD]" if check in valid else number + check
        assert masked(number + check) == expected


def card(prefix: str, length: int) -> str:
    """Return a card number that begins with `prefix` and has a valid check digit."""
    digits = prefix.ljust(length - 1, "7")
    return next(digits + check for check in "0123456789" if luhn(digits + check))


@pytest.mark.parametrize(
    ("prefixes", "lengths"),
    [
        ("4000 4999", "13 16 19"),
        ("5100 5599 2221 2720", "16"),
        ("3400 3499 3700 3799", "15"),
        ("3000 3059 3095 3600 3699 3800 3999", "14 16 19"),
        ("3528 3589 6011 6440 6599 6200 6299 8100 8299 2200 2204", "16 17 18 19"),
        ("6000 6010 5080 5089", "16"),
        ("5061", "16 18 19"),
        ("9792", "16"),
        ("5018 5020 5038 5893 6304 6759 6761 6762 6763", "13 16 19"),
    ],
)
def test_every_card_scheme_is_known_by_its_ranges_and_lengths(prefixes: str, lengths: str) -> None:
    for prefix in prefixes.split():
        for length in range(13, 20):
            expected = str(length) in lengths.split()
            if expected or len(lengths.split()) in {1, 4}:
                assert is_card(card(prefix, length)) == expected, (prefix, length)


@pytest.mark.parametrize(
    "prefix",
    [
        *("2199", "2205", "2220", "2721", "3060", "3094", "3096", "3300", "3500", "3527", "3590"),
        *("5000", "5017", "5060", "5062", "5079", "5090", "5600", "6012", "6199", "6300", "6439"),
        *("6600", "6760", "6764", "7000", "8099", "8300", "9791", "9793", "1234", "0000"),
    ],
)
def test_numbers_outside_all_ranges_are_no_cards(prefix: str) -> None:
    assert not any(is_card(card(prefix, length)) for length in range(13, 20))


PUBLISHED = """
AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741
AT611904300234573201 AZ21NABZ00000000137010001944 BA391290079401028494 BE68539007547034
BG80BNBG96611020345678 BH67BMAG00001299123456 BR9700360305000010009795493P1
BY13NBRB3600900000002Z00AB00 CH9300762011623852957 CR05015202001026284066
CY17002001280000001200527600 CZ6508000000192000145399 DE89370400440532013000
DK5000400440116243 DO28BAGR00000001212453611324 EE382200221020145685 ES9121000418450200051332
FI2112345600000785 FO6264600001631634 FR1420041010050500013M02606 GB29NWBK60161331926819
GE29NB0000000101904917 GI75NWBK000000007099453 GL8964710001000206 GR1601101250000000012300695
GT82TRAJ01020000001210029690 HR1210010051863000160 HU42117730161111101800000000
IE29AIBK93115212345678 IL620108000000099999999 IQ98NBIQ850123456789012
IS140159260076545510730339 IT60X0542811101000000123456 JO94CBJO0010000000000131000302
KW81CBKU0000000000001234560101 KZ86125KZT5004100100 LB62099900000001001901229114
LC55HEMM000100010012001200023015 LI21088100002324013AA LT121000011101001000
LU280019400644750000 LV80BANK0000435195001 MC5811222000010123456789030
MD24AG000225100013104168 ME25505000012345678951 MK07250120000058984
MR1300020001010000123456753 MT84MALT011000012345MTLCAST001S MU17BOMM0101101030300200000MUR
NL91ABNA0417164300 NO9386011117947 PK36SCBL0000001123456702 PL61109010140000071219812874
PS92PALS000000000400123456702 PT50000201231234567890154 QA58DOHB00001234567890ABCDEFG
RO49AAAA1B31007593840000 RS35260005601001611379 SA0380000000608010167519
SC18SSCB11010000000000001497USD SE4550000000058398257466 SI56263300012039086
SK3112000000198742637541 SM86U0322509800000000270100 SV62CENR00000000000000700025
TL380080012345678910157 TN5910006035183598478831 TR330006100519786457841326
UA213223130000026007233566001 VA59001123000012345678 VG96VPVG0000012345678901
XK051212012345678906
"""


@pytest.mark.parametrize("iban", PUBLISHED.split())
def test_the_published_example_of_each_country_is_found(iban: str) -> None:
    assert masked(f"to {iban} today") == "to [IBAN] today"
    spaced = " ".join(iban[start : start + 4] for start in range(0, len(iban), 4))
    assert masked(f"to {spaced}, today") == "to [IBAN], today"


@given(
    st.sampled_from(sorted(IBAN_LENGTHS)),
    st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=29, max_size=29),
    st.integers(1, 96),
)
def test_the_check_digits_of_an_account_number_decide(
    country: str, account: str, wrong: int
) -> None:
    account = account[: IBAN_LENGTHS[country] - 4]
    moved = "".join(str(int(character, 36)) for character in account + country + "00")
    check = 98 - int(moved) % 97
    iban = f"{country}{check:02}{account}"
    assert mod97(iban)
    assert masked(f"to {iban}") == "to [IBAN]"
    other = f"{country}{2 + (check - 2 + wrong) % 97:02}{account}"
    assert not mod97(other)
    assert masked(f"to {other}") == f"to {other}"


def test_the_longest_finding_wins_where_two_overlap() -> None:
    # the password of a URL is also the beginning of an address
    assert masked("x://u:john@example.com") == "x://u:[EMAIL]"
    # digits of an account number that a telephone number could be made of
    assert masked("GB33 BUKB 2020 1555 5555 55") == "[IBAN]"


def test_a_long_run_of_candidates_is_finished() -> None:
    for text in ("1234 " * 20_000, "a@" * 50_000, "::" * 50_000, "AB12 " * 20_000, "+1" * 50_000):
        masked(text)
