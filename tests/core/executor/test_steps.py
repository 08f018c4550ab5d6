from plugway.executor.steps import Policy, Step
from plugway_hookspecs import Operation, Scope


def test_a_step_sees_the_operation_as_its_plugin_unless_it_is_blind() -> None:
    scope, operation = Scope("p", "tool_pre_invoke"), Operation("1", "tools/call")
    (context,) = Step(print, scope, Policy(), awaits=False).view_of(operation)
    context.annotate("seen", 1)
    assert [(each.plugin, each.hook) for each in operation.findings] == [("p", "tool_pre_invoke")]
    assert Step(print, scope, Policy(), awaits=False, blind=True).view_of(operation) == ()
