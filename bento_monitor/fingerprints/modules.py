"""Hashing of torch modules: class, attributes, forward hooks and children; and which modules make up a model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from .objects import instance_attributes, write_attributes
from .origins import name_of_class
from .walk import Walk

_FORWARD_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_HOOK_MARKS = ("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs")
_CHILDREN = "_modules"
_TENSORS = ("_parameters", "_buffers")
# Hooks of training and loading, and attributes set by module.compile(): they do not affect what a call computes.
_SKIPPED = frozenset(
    {
        *_FORWARD_HOOKS,
        *_HOOK_MARKS,
        *_TENSORS,
        _CHILDREN,
        "_backward_hooks",
        "_backward_pre_hooks",
        "_is_full_backward_hook",
        "_state_dict_hooks",
        "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks",
        "_load_state_dict_post_hooks",
        "_compiled_call_impl",
        "_is_torch_compile",
    }
)
# The graph from which a module's `forward` was generated; `forward` itself is hashed.
_GRAPH_ATTRIBUTES = frozenset(
    {
        "_graph",
        "_code",
        "_lineno_map",
        "_prologue_start",
        "_tracer_cls",
        "_tracer_extras",
        "_replace_hooks",
        "_create_node_hooks",
        "_erase_node_hooks",
        "_deepcopy_hooks",
        "meta",
        "shape_env",
    }
)


def is_module_type(cls: type) -> bool:
    """Whether `cls` is a class of torch modules."""
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(cls, torch.nn.Module)


def is_script_type(cls: type) -> bool:
    """Whether `cls` is a class of TorchScript modules or functions."""
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(cls, (torch.jit.ScriptModule, torch.jit.ScriptFunction))


def is_compiled_type(cls: type) -> bool:
    """Whether `cls` is the class of modules that `torch.compile` returns."""
    frames = sys.modules.get("torch._dynamo.eval_frame")
    return frames is not None and issubclass(cls, frames.OptimizedModule)


def write_script(walk: Walk, value: Any, label: str, _is_deep: bool) -> None:
    """Write a placeholder for a TorchScript module or function, whose archive is hashed later."""
    walk.defer(value, label)


def write_compiled(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write the original of a compiled module, and the hooks of the compiled module."""
    if any(value.__dict__.get(name) for name in _FORWARD_HOOKS):
        _hooks(walk, value, label)
    walk.value(original_of(value), label, is_deep)


def write_module(walk: Walk, module: Any, label: str, _is_deep: bool) -> None:
    """Write a module, with its tensors unless it is in the tree whose tensors are written separately."""
    walk.refer(module, label, True, _content)


def original_of(module: Any) -> Any:
    """Return the module that was passed to `torch.compile`; any other module unchanged."""
    while is_compiled_type(type(module)):
        module = module.__dict__[_CHILDREN]["_orig_mod"]
    return module


def modules_of(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield every module with its path, parents first, a shared one at each path; TorchScript is not entered."""
    pending: list[tuple[str, Any]] = [("", root)]
    entered: set[int] = set()
    while pending:
        path, module = pending.pop()
        module = original_of(module)
        yield path, module
        if id(module) in entered or is_script_type(type(module)):
            continue
        entered.add(id(module))
        children = [(name, child) for name, child in module.__dict__[_CHILDREN].items() if child is not None]
        pending += [(f"{path}.{name}" if path else name, child) for name, child in reversed(children)]


def write_tensors(walk: Walk, root: Any) -> None:
    """Write the names and tensors of every module in `root`."""
    first: dict[int, int] = {}
    for path, module in modules_of(root):
        walk.write("module", path)
        walk.write("number", b"%d" % first.setdefault(id(module), len(first)))
        if is_script_type(type(module)):
            walk.defer(module, f"the module {path!r}")
            continue
        for kind in _TENSORS:
            named = module.__dict__[kind]
            walk.write(kind, b"%d" % len(named))
            for name, tensor in named.items():
                walk.write("name", name)
                walk.value(tensor, f"{path}.{name}" if path else name)


def _content(walk: Walk, module: Any, label: str, _is_deep: bool) -> None:
    walk.write("module", name_of_class(type(module)))
    walk.value(type(module), label, True)
    skipped = _SKIPPED | _GRAPH_ATTRIBUTES if _is_graph(module) else _SKIPPED
    attributes = {name: value for name, value in instance_attributes(module).items() if name not in skipped}
    write_attributes(walk, attributes, label, True)
    _hooks(walk, module, label)
    kinds = (_CHILDREN,) if id(module) in walk.tree else (_CHILDREN, *_TENSORS)
    for kind in kinds:
        named = module.__dict__.get(kind) or {}
        walk.write(kind, b"%d" % len(named))
        for name, value in list(named.items()):
            walk.write("name", name)
            walk.value(value, f"{label}.{name}", True)


def _hooks(walk: Walk, module: Any, label: str) -> None:
    """Write the forward hooks in their order, without torch's numbers for them, which differ between processes."""
    for kind in _FORWARD_HOOKS:
        hooks = module.__dict__.get(kind) or {}
        walk.write(kind, b"%d" % len(hooks))
        for number, hook in list(hooks.items()):
            marks = [mark for mark in _HOOK_MARKS if number in (module.__dict__.get(mark) or ())]
            walk.write("marks", " ".join(marks))
            walk.value(hook, f"{label}.{kind}", True)


def _is_graph(module: Any) -> bool:
    graphs = sys.modules.get("torch.fx.graph_module")
    return graphs is not None and isinstance(module, graphs.GraphModule)
