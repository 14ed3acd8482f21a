from stocklean_exec.simulator.exchange.refusals import Refusal, invalid


def test_an_invalid_field_has_the_captured_text():
    text = "Error validating request.-'bF' : cause - Invalid order type was entered"
    assert invalid("Invalid order type was entered") == Refusal(321, text, inactive=False)
