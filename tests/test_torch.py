"""Networks as PyTorch modules: gradients by finite differences, shared memory, training, and what is refused."""

from __future__ import annotations

import copy
import io
import math
import pickle

import numpy as np
import pytest

import pyinvnets as inv
from helpers.comparison import assert_close, relative_error
from helpers.processes import run_python
from pyinvnets.validation import cases
from pyinvnets.validation.cases import Case

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
FlowModule = pytest.importorskip("pyinvnets.torch").FlowModule

OTHERS = {
    "NetworkGlow, no log-determinant": Case(
        lambda **kw: inv.NetworkGlow(3, 4, 1, 2, logdet=False, **kw), ((3, 2, 3, 2),)
    ),
    "Sequential, half tracked": Case(
        lambda **kw: inv.Sequential(inv.ActNorm(3, logdet=True, **kw), inv.ActNorm(3, **kw)), ((3, 2, 3, 2),)
    ),
}
CASES = cases.CASES | OTHERS
FLOWS = [n for n, case in CASES.items() if case.invertible and not case.unlike and not n.startswith("NetworkLoop")]
WITH_DENSITY = [n for n in FLOWS if n not in OTHERS]
FEW = ["NetworkGlow, split", "NetworkConditionalGlow, split", "NetworkConditionalHINT", "SummarizedNet"]


def tensors(arrays):
    return [torch.from_numpy(array.T.copy()) for array in arrays]


def four(case):
    """Four samples of each input."""
    first, second = tensors(case.inputs(5)), tensors(case.inputs(6))
    return [torch.cat(pair) for pair in zip(first, second, strict=True)]


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


def glow(engine, seed=1, **options):
    return inv.NetworkGlow(2, 8, 1, 3, engine=engine, seed=seed, **options)


def banana(samples, seed=3):
    return torch.from_numpy(inv.sample_banana(samples, seed=seed, engine="numpy").T)


def address(array):
    return array.ctypes.data


def assert_shared(flow):
    named = inv.named_params(flow.network)
    parameters = dict(flow.named_parameters())
    assert list(parameters) == list(named)
    for name, parameter in parameters.items():
        assert parameter.data_ptr() == address(named[name].data), name
        assert tuple(parameter.shape) == named[name].shape[::-1]
        assert parameter.is_contiguous()


class TestGradients:
    @pytest.mark.parametrize("name", FLOWS)
    def test_of_everything(self, name, engine):
        """In the inputs, the condition and each parameter, for random cotangents of each output: those of the
        log-determinants differ."""
        case = CASES[name]
        flow = FlowModule(case.network(engine))
        inputs = [x.requires_grad_() for x in tensors(case.inputs())]
        assert torch.autograd.gradcheck(
            lambda *t: flow(*t[: len(inputs)]), (*inputs, *flow.parameters()), fast_mode=True
        )

    def test_every_element(self):
        case = CASES["ConditionalLayerGlow"]
        flow = FlowModule(case.network("numpy"))
        inputs = [x.requires_grad_() for x in tensors(case.inputs())]
        assert torch.autograd.gradcheck(lambda *t: flow(*t[:2]), (*inputs, *flow.parameters()))

    @pytest.mark.parametrize(
        ("weights", "calls"),
        [
            ((-0.25, -0.25, -0.25, -0.25), 1),
            ((2.0, 2.0, 2.0, 2.0), 1),
            ((0.0, 0.0, 0.0, 0.0), 1),
            ((1e-300, 1e-300, 1e-300, 1e-300), 1),
            ((0.5, -1.0, 0.0, 0.5), 3),
        ],
    )
    @pytest.mark.parametrize("name", FEW)
    def test_of_latent_and_log_determinant_together(self, name, engine, weights, calls, monkeypatch):
        case = CASES[name]
        flow = FlowModule(case.network(engine))
        inputs = [x.requires_grad_() for x in four(case)]
        weights = torch.tensor(weights, dtype=torch.float64)

        def objective(*t):
            *latents, logdet = flow(*t[: len(inputs)])
            return sum((z**3).sum() for z in latents) + (weights * logdet).sum()

        everything = (*inputs, *flow.parameters())
        assert torch.autograd.gradcheck(objective, everything, fast_mode=True)
        modes = []
        right = flow.network.propagate
        monkeypatch.setattr(
            flow.network, "propagate", lambda mode, *rest, **how: modes.append(mode) or right(mode, *rest, **how)
        )
        objective(*everything).backward()
        assert modes.count("backward") == calls

    @pytest.mark.parametrize("size", [1e-25, 1.0, 1e25])
    def test_without_log_determinant_in_32_bits(self, engine, size):
        """Its part vanishes whatever the size of the loss."""
        network, x = glow(engine), banana(50)
        flow = FlowModule(network)
        flow(x)
        exact = copy.deepcopy(flow).double()
        (size * flow(x)[0].sum()).backward()
        exact(x.double())[0].sum().backward()
        for (name, found), expected in zip(flow.named_parameters(), exact.parameters(), strict=True):
            assert_close(found.grad.double().numpy() / size, expected.grad.numpy(), 1e-4, name)

    def test_nothing_asked_for_gives_zero(self):
        flow = FlowModule(glow("numpy"))
        (0 * flow.log_prob(banana(9))).sum().backward()
        assert all((p.grad == 0).all() for p in flow.parameters())

    def test_graph_used_again_and_module_used_twice(self, engine):
        """A network that splits remembers the image size of its last forward: each backward needs its own."""
        flow = FlowModule(inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine=engine, seed=1)).double()
        torch.manual_seed(0)
        small, large = (torch.randn(n, 2, size, size, dtype=torch.float64) for n, size in ((3, 4), (2, 8)))
        flow(large)

        def loss(x):
            return -flow.log_prob(x).mean()

        expected = [torch.autograd.grad(loss(x), [*flow.parameters()]) for x in (small, large)]
        total = loss(small) + loss(large)
        total.backward(retain_graph=True)
        total.backward()
        for (name, p), *parts in zip(flow.named_parameters(), *expected, strict=True):
            torch.testing.assert_close(p.grad, 2 * sum(parts), msg=name)

    def test_gradients_by_hand_are_not_mixed_in(self, engine):
        flow = FlowModule(glow(engine))
        x = banana(20)
        expected = torch.autograd.grad(-flow.log_prob(x).mean(), [*flow.parameters()])
        Z, _ = flow.network.forward(x.numpy().T)
        flow.network.backward(Z, Z)
        found = torch.autograd.grad(-flow.log_prob(x).mean(), [*flow.parameters()])
        for a, b in zip(found, expected, strict=True):
            assert torch.equal(a, b)

    @pytest.mark.parametrize("name", ["ActNorm", "Conv1x1", "NetworkGlow, split", "NetworkConditionalGlow"])
    def test_second_derivatives_are_refused(self, name):
        """They are never zero or left out without a word, whatever the cotangents and whatever is asked for."""
        flow, inputs = FlowModule(CASES[name].network("numpy")), tensors(CASES[name].inputs())
        for loss in (lambda *t: flow.log_prob(*t).sum(), lambda *t: as_tuple(flow(*t))[0].sum()):
            for of in ("hessian", "hvp", "vhp"):
                directions = () if of == "hessian" else (tuple(map(torch.ones_like, inputs)),)
                with pytest.raises(RuntimeError, match="FlowModule has no second derivatives"):
                    getattr(torch.autograd.functional, of)(loss, tuple(inputs), *directions)
            leaves = [x.clone().requires_grad_() for x in inputs]
            everything = [*leaves, *flow.parameters()]
            gradients = torch.autograd.grad(loss(*leaves), everything, create_graph=True)
            for of_first in everything:
                with pytest.raises(RuntimeError, match="FlowModule has no second derivatives"):
                    torch.autograd.grad(gradients[0].sum(), of_first, retain_graph=True, allow_unused=True)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_forward_mode_is_refused(self):
        flow, x = FlowModule(glow("numpy")), banana(9)
        flow(x)
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            with pytest.raises(NotImplementedError, match="jvp"):
                flow(dual)

    def test_changes_before_backward_are_noticed(self):
        flow = FlowModule(glow("numpy"))
        optimiser = torch.optim.SGD(flow.parameters(), 0.1)
        first, second = (-flow.log_prob(banana(9)).mean() for _ in range(2))
        first.backward()
        optimiser.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            second.backward()
        z, logdet = flow(banana(9))
        z.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            logdet.sum().backward()


class TestDensity:
    @pytest.mark.parametrize("name", WITH_DENSITY)
    def test_log_prob_is_the_networks(self, name, engine):
        case = CASES[name]
        network = case.network(engine)
        found = FlowModule(network).log_prob(*tensors(case.inputs()))
        np.testing.assert_allclose(found.detach().numpy(), network.log_prob(*case.inputs()), rtol=1e-12)

    @pytest.mark.parametrize("name", FLOWS)
    def test_inverse(self, name, engine):
        case = CASES[name]
        flow, inputs = FlowModule(case.network(engine)), tensors(case.inputs())
        lanes = len(flow.network.signature.latents)
        with torch.no_grad():
            latents = as_tuple(flow(*inputs))[:lanes]
            assert all(len(z) == len(inputs[0]) for z in latents)
            found = as_tuple(flow.inverse(*latents, *inputs[lanes:]))
        for x, expected in zip(found, inputs, strict=False):
            assert_close(x.numpy(), expected.numpy(), 1e-9, name)

    @pytest.mark.parametrize("name", FEW)
    def test_a_row_is_a_sample(self, name, engine):
        case = CASES[name]
        flow, inputs = FlowModule(case.network(engine)), four(case)
        with torch.no_grad():
            together = flow(*inputs)
            alone = [flow(*(x[i : i + 1] for x in inputs)) for i in range(4)]
        for whole, rows in zip(together, zip(*alone, strict=True), strict=True):
            torch.testing.assert_close(whole, torch.cat(rows))

    def test_rows_of_a_latent_are_whole_samples(self, engine):
        """Any of them, in any order, though the network's own latent holds part after part of all samples."""
        flow, x = (
            FlowModule(inv.NetworkGlow(2, 4, 2, 1, split_scales=True, engine=engine, seed=1)),
            torch.randn(20, 2, 8, 4),
        )
        with torch.no_grad():
            z, _ = flow(x)
            torch.testing.assert_close(flow.inverse(z[[7, 3]]), x[[7, 3]], atol=1e-4, rtol=1e-4)

    def test_samples(self, engine):
        flow = FlowModule(CASES["NetworkMultiScaleConditionalHINT, split"].network(engine))
        torch.manual_seed(4)
        x, y = flow.sample((3, 2), spatial=(4, 8))
        assert x.shape == y.shape == (3, 2, 1, 4, 8)
        assert flow.sample()[0].shape == (1, 4, 8)
        torch.manual_seed(4)
        again, _ = flow.sample(6)
        assert torch.equal(again, x.flatten(0, 1))

    @pytest.mark.parametrize("conditions", [1, 2])
    def test_samples_given_conditions(self, engine, conditions):
        """Sample `[i, j]` is of condition `j`: there it has the latent that was drawn for it."""
        case = CASES["NetworkConditionalGlow"]
        flow, (x, c) = FlowModule(case.network(engine)), tensors(case.inputs())
        c = c[:conditions]
        torch.manual_seed(4)
        samples = flow.sample((3,), c)
        assert samples.shape == (3, conditions, *x.shape[1:])
        with torch.no_grad():
            z, _ = flow(samples.flatten(0, 1), c.repeat(3, 1, 1, 1))
        torch.manual_seed(4)
        drawn = np.random.default_rng(int(torch.randint(2**63 - 1, ()))).standard_normal((3 * conditions, 18))
        np.testing.assert_allclose(z.flatten(1).numpy(), drawn, atol=1e-9)

    def test_one_condition_for_all(self):
        case = CASES["NetworkConditionalGlow"]
        flow, (x, c) = FlowModule(case.network("numpy")), tensors(case.inputs())
        one = c[:1].requires_grad_()
        found = flow.log_prob(x, one)
        assert torch.equal(found, flow.log_prob(x, torch.cat((one, one))))
        assert torch.autograd.gradcheck(lambda c: flow.log_prob(x, c), one, fast_mode=True)


class TestMemory:
    def test_parameters_are_the_networks(self, engine):
        flow = FlowModule(CASES["NetworkConditionalGlow"].network(engine))
        assert_shared(flow)
        x, c = tensors(CASES["NetworkConditionalGlow"].inputs())
        (-flow.log_prob(x, c).mean()).backward()
        before = flow.network.state_dict()
        torch.optim.SGD(flow.parameters(), 0.1).step()
        for name, p in flow.named_parameters():
            expected = before[name] - 0.1 * p.grad.numpy().T
            np.testing.assert_allclose(inv.named_params(flow.network)[name].data, expected, rtol=1e-12, err_msg=name)
        assert_shared(flow)

    def test_batches_go_in_and_out_without_a_copy(self, engine, monkeypatch):
        flow, x = FlowModule(glow(engine)), banana(20)
        flow(x)
        model, seen = flow.network.model, []
        right = model.forward_by_sample

        def forward_by_sample(X, **how):
            results = right(X, **how)
            seen.append((address(X), address(results[0])))
            return results

        monkeypatch.setattr(model, "forward_by_sample", forward_by_sample)
        z, _ = flow(x)
        assert seen == [(x.data_ptr(), z.data_ptr())]

    def test_autograd_keeps_the_output_alone(self):
        """Whatever the depth; a parameter is no copy."""
        for K in (1, 8):
            flow = FlowModule(inv.NetworkGlow(2, 8, 1, K, engine="numpy", seed=1))
            flow(banana(20))
            kept = []
            with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t) or t, lambda t: t):
                z, _ = flow(banana(20))
            own = {p.data_ptr() for p in flow.parameters()}
            assert [t.data_ptr() for t in kept if t.data_ptr() not in own] == [z.data_ptr()]

    def test_networks_that_pass_an_input_on(self, engine):
        """Their output is memory of its own, which may be changed."""
        case = CASES["HyperbolicLayer"]
        flow, inputs = FlowModule(case.network(engine)), tensors(case.inputs())
        outputs = flow(*inputs)
        assert not {x.data_ptr() for x in inputs} & {z.data_ptr() for z in outputs}


class TestModule:
    def test_optimiser_made_before_the_first_batch(self, engine):
        network = glow(engine)
        flow = FlowModule(network)
        optimiser = torch.optim.AdamW(flow.parameters(), 0.01)
        assert flow.get_parameter("AN[1,2].s").isnan().all()
        optimiser.step()
        assert inv.named_params(network)["AN[1,2].s"].data is None
        (-flow.log_prob(banana(30)).mean()).backward()
        before = network.state_dict()
        optimiser.step()
        assert_shared(flow)
        assert all((p.data != before[p.name]).any() for p in inv.get_params(network) if p.name.startswith("AN"))

    def test_first_batch_past_the_module(self, engine):
        flow = FlowModule(glow(engine))
        X = banana(30).numpy().T
        flow.network.forward(X)
        before = flow.network.state_dict()
        flow(banana(9))
        assert_shared(flow)
        assert all((p.data == before[p.name]).all() for p in inv.get_params(flow.network))

    def test_first_batch_in_inference_mode(self):
        flow = FlowModule(glow("numpy"))
        with torch.inference_mode():
            flow(banana(30))
        (-flow.log_prob(banana(30)).mean()).backward()
        torch.optim.SGD(flow.parameters(), 0.1).step()

    def test_state_dict(self, engine):
        flow, x = FlowModule(glow(engine)), banana(30)
        flow(x)
        state = flow.state_dict()
        assert {name: t.numpy().T.tolist() for name, t in state.items()} == {
            name: array.tolist() for name, array in flow.network.state_dict().items()
        }
        for assign in (False, True):
            model = torch.nn.ModuleDict({"flow": FlowModule(glow(engine, seed=2))})
            model.load_state_dict({f"flow.{name}": t for name, t in state.items()}, assign=assign)
            assert_shared(model["flow"])
            assert not set(map(torch.Tensor.data_ptr, state.values())) & {p.data_ptr() for p in model.parameters()}
            assert torch.equal(model["flow"].log_prob(x), flow.log_prob(x))

    def test_state_dict_of_an_unset_actnorm(self, engine):
        """To load it is to unset ActNorm."""
        flow = FlowModule(glow(engine))
        state = copy.deepcopy(flow.state_dict())
        flow(banana(30))
        flow.load_state_dict(state)
        assert inv.named_params(flow.network)["AN[1,1].s"].data is None
        x = banana(50, seed=9)
        expected = FlowModule(glow(engine)).log_prob(x)
        assert torch.equal(flow.log_prob(x), expected)
        assert_shared(flow)

    def test_types(self, engine):
        flow, x = FlowModule(glow(engine)), banana(30)
        expected = flow.log_prob(x).detach()
        (-flow.log_prob(x).mean()).backward()
        optimiser = torch.optim.SGD(flow.parameters(), 0.0)
        assert flow.double() is flow
        assert flow.network.dtype == np.float64
        torch.testing.assert_close(flow.log_prob(x.double()).detach().float(), expected)
        assert all(p.grad.dtype == torch.float64 for p in flow.parameters())
        optimiser.step()
        assert_shared(flow)
        flow.float()
        torch.testing.assert_close(flow.log_prob(x).detach(), expected)
        assert_shared(flow)
        for move in (flow.half, lambda: flow.to("meta"), lambda: flow.to(torch.bfloat16)):
            with pytest.raises(TypeError, match="on the CPU, in float32 or float64"):
                move()
            assert_shared(flow)
        flow.network.astype(np.float64)
        flow(x.double())
        assert_shared(flow)

    @pytest.mark.parametrize("first_batch", [True, False])
    @pytest.mark.parametrize("name", ["glow", "layer", "sequential"])
    def test_copies(self, engine, first_batch, name):
        x = banana(30)
        network = {
            "glow": lambda: glow(engine),
            "layer": lambda: inv.ActNorm(2, logdet=True, engine=engine),
            "sequential": lambda: inv.Sequential(inv.Conv1x1(2, engine=engine), glow(engine)),
        }[name]()
        flow = FlowModule(network).double()
        x = x.double()
        if first_batch:
            flow(x)
        file = io.BytesIO()
        torch.save(flow, file)
        file.seek(0)
        copies = [
            copy.deepcopy(flow),
            pickle.loads(pickle.dumps(flow)),
            torch.load(file, weights_only=False),
        ]
        expected = flow.log_prob(x)
        for copied in copies:
            assert torch.equal(copied.log_prob(x), expected)
            assert_shared(copied)
            (-copied.log_prob(x).mean()).backward()
            torch.optim.SGD(copied.parameters(), 0.1).step()
            assert not torch.equal(copied.log_prob(x), expected)
        assert torch.equal(flow.log_prob(x), expected)

    def test_frozen_parameters(self):
        flow = FlowModule(glow("numpy"))
        frozen = flow.get_submodule("CL[1,2].C").requires_grad_(False)
        (-flow.log_prob(banana(30)).mean()).backward()
        without = [name for name, p in flow.named_parameters() if p.grad is None]
        assert without == [f"CL[1,2].C.{name}" for name, _ in frozen.named_parameters()]

    def test_replaced_parameters_are_refused(self):
        flow, x = FlowModule(glow("numpy")), banana(9)
        flow(x)
        others = {name: p + 1 for name, p in flow.named_parameters()}
        with pytest.raises(RuntimeError, match=r"AN\[1,1\].s was replaced"):
            torch.func.functional_call(flow, others, x)
        flow(x)
        vector = torch.nn.utils.parameters_to_vector(flow.parameters())
        torch.nn.utils.vector_to_parameters(vector.detach() * 2, flow.parameters())
        with pytest.raises(RuntimeError, match="copy values in, such as with load_state_dict"):
            flow(x)
        flow.load_state_dict(flow.state_dict())
        flow(x)
        assert_shared(flow)
        assert torch.equal(torch.nn.utils.parameters_to_vector(flow.parameters()), 2 * vector)

    def test_repr(self):
        assert repr(FlowModule(glow("numpy"))) == f"FlowModule({glow('numpy')!r})"


class TestTraining:
    @pytest.mark.parametrize(("dtype", "updates", "bound"), [(torch.float64, 100, 1e-11), (torch.float32, 10, 1e-4)])
    def test_tutorial_follows_our_adam(self, engine, dtype, updates, bound):
        """The first updates, parameter by parameter; differences of rounding grow exponentially, at the kinks of ReLUs
        to a hundredth within 70 updates in 32 bits."""
        ours, theirs = (inv.NetworkGlow(2, 16, 1, 10, engine=engine, seed=1) for _ in range(2))
        flow = FlowModule(theirs).to(dtype)
        ours.astype(theirs.dtype)
        opt = inv.Adam(9e-4)
        optimiser = torch.optim.Adam(flow.parameters(), 9e-4)
        for x in banana(150 * updates).to(dtype).split(150):
            X = x.numpy().T
            Z, _ = ours.forward(X)
            ours.backward(Z / 150, Z)
            opt.update(ours)
            inv.clear_grad(ours)
            optimiser.zero_grad()
            (-flow.log_prob(x).mean()).backward()
            optimiser.step()
        expected = ours.state_dict()
        start = inv.NetworkGlow(2, 16, 1, 10, engine="numpy", seed=1)
        assert relative_error(expected["CL[1,1].RB.W1"], start.state_dict()["CL[1,1].RB.W1"]) > 0.01
        for name, value in theirs.state_dict().items():
            assert_close(value, expected[name], bound, name)

    def test_encoder_before_a_conditional_flow(self, engine):
        """The posterior of two numbers given 16: the loss comes near its entropy, and to 1.3 nats above it with the
        encoder frozen."""
        torch.manual_seed(0)
        A, noise = torch.randn(2, 16), 2.0
        encoder = torch.nn.Sequential(torch.nn.Linear(16, 2), torch.nn.Unflatten(1, (2, 1, 1)))
        flow = FlowModule(inv.NetworkConditionalGlow(2, 2, 16, 1, 4, engine=engine, seed=1))
        model = torch.nn.ModuleList([encoder, flow])
        optimiser = torch.optim.Adam(model.parameters(), 0.01)

        def loss(samples):
            x = torch.randn(samples, 2)
            y = x @ A + noise * torch.randn(samples, 16)
            return -flow.log_prob(x[..., None, None], encoder(y)).mean()

        first = loss(200).item()
        for _ in range(400):
            optimiser.zero_grad()
            loss(200).backward()
            optimiser.step()
        precision = torch.eye(2) + A @ A.T / noise**2
        entropy = math.log(2 * math.pi * math.e) - precision.logdet().item() / 2
        with torch.no_grad():
            last = loss(5000).item()
        assert first > entropy + 1
        assert entropy - 0.1 < last < entropy + 0.15


# Dynamo itself looks at the gradients of tensors that have none.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
class TestCompiled:
    def test_model_runs_and_trains(self):
        """With a graph break at the flow, and with what it gives without a compiler."""
        torch.manual_seed(0)
        flow = FlowModule(inv.NetworkConditionalGlow(2, 2, 8, 1, 2, engine="numpy", seed=1))
        encoder = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Unflatten(1, (2, 1, 1)))
        flow(x := banana(30), encoder(y := torch.randn(30, 4)))

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder, self.flow = encoder, flow

            def forward(self, x, y):
                return -self.flow.log_prob(x, self.encoder(2 * y)).mean()

        model = Model()
        compiled = torch.compile(model, backend="eager")
        expected = model(x, y)
        found = compiled(x, y)
        torch.testing.assert_close(found, expected)
        gradients = (torch.autograd.grad(loss, [*model.parameters()]) for loss in (found, expected))
        torch.testing.assert_close(*map(list, gradients))
        optimiser = torch.optim.Adam(compiled.parameters(), 0.01)
        for _ in range(3):
            optimiser.zero_grad()
            compiled(x, y).backward()
            optimiser.step()
        assert compiled(x, y) < expected
        assert torch.compile(flow.sample, backend="eager")(3, encoder(y)).shape == (3, 30, 2, 1, 1)

    @pytest.mark.parametrize("first_batch", [True, False])
    @pytest.mark.parametrize("strict", [True, False])
    def test_failed_export_leaves_the_module_usable(self, strict, first_batch):
        flow, x = FlowModule(glow("numpy")), banana(30)
        if first_batch:
            flow(x)
        with pytest.raises(RuntimeError, match="disable" if strict else "cannot be exported or traced"):
            torch.export.export(flow, (x,), strict=strict)
        assert torch.equal(flow.log_prob(x), FlowModule(glow("numpy")).log_prob(x))
        assert_shared(flow)
        (-flow.log_prob(x).mean()).backward()
        torch.optim.SGD(flow.parameters(), 0.1).step()
        assert_shared(flow)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_trace_is_refused(self):
        """It would keep this batch's numbers as constants."""
        flow, x = FlowModule(glow("numpy")), banana(30)
        flow(x)
        with pytest.raises(RuntimeError, match="cannot be exported or traced"):
            torch.jit.trace(flow, (x,))


class TestProcesses:
    def test_replicas_of_a_fresh_network_stay_the_same(self, tmp_path):
        """To the last bit, and as one process on both halves of each batch; halves of different size too."""
        torch.multiprocessing.spawn(replica, (tmp_path, (16, 16)), nprocs=2)
        first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
        flow = FlowModule(glow("numpy")).double()
        train(flow, flow, banana(160).double().split(32))
        for name, expected in flow.state_dict().items():
            assert torch.equal(first[name], second[name]), name
            assert_close(first[name].numpy(), expected.numpy(), 1e-10, name)

    def test_actnorm_of_uneven_batches(self, tmp_path):
        torch.multiprocessing.spawn(first_batch, (tmp_path, (5, 20)), nprocs=2)
        expected = FlowModule(glow("numpy"))
        expected(banana(25))
        for rank in range(2):
            state = torch.load(tmp_path / f"{rank}.pt")
            assert all(torch.equal(state[name], value) for name, value in expected.state_dict().items())

    def test_unfit_first_batches_are_refused_in_every_process(self, tmp_path):
        torch.multiprocessing.spawn(unfit, (tmp_path,), nprocs=2)
        for rank in range(2):
            assert "cannot be initialised" in (tmp_path / f"{rank}.txt").read_text()

    def test_values_copied_in_before_the_first_batch_count(self, engine):
        """As DistributedDataParallel copies those of the first process into the others."""
        ready, fresh = FlowModule(glow(engine, seed=2)), FlowModule(glow(engine))
        x = banana(30)
        ready(x)
        with torch.no_grad():
            for target, value in zip(fresh.parameters(), ready.parameters(), strict=True):
                target.copy_(value)
        assert torch.equal(fresh.log_prob(2 * x), ready.log_prob(2 * x))
        assert_shared(fresh)

    def test_share_memory_is_refused(self):
        for model in (FlowModule(glow("numpy")), torch.nn.Sequential(FlowModule(glow("numpy")))):
            with pytest.raises(RuntimeError, match=r"share_memory\(\) is refused"):
                model.share_memory()
            (flow,) = (part for part in model.modules() if isinstance(part, FlowModule))
            flow(banana(9))
            assert_shared(flow)


def train(model, flow, batches):
    optimiser = torch.optim.SGD(flow.parameters(), 0.05)
    for x in batches:
        optimiser.zero_grad()
        z, logdet = model(x)
        ((z * z).flatten(1).sum(1) / 2 - logdet).mean().backward()
        optimiser.step()


def in_a_group(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)


def replica(rank, folder, sizes):
    in_a_group(rank, folder)
    flow = FlowModule(glow("numpy", seed=1 + rank)).double()
    model = torch.nn.parallel.DistributedDataParallel(flow)
    train(model, flow, [x.split(sizes)[rank] for x in banana(160).double().split(sum(sizes))])
    torch.save(flow.state_dict(), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def first_batch(rank, folder, sizes):
    in_a_group(rank, folder)
    flow = FlowModule(glow("numpy"))
    flow(banana(sum(sizes)).split(sizes)[rank])
    torch.save(flow.state_dict(), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def unfit(rank, folder):
    in_a_group(rank, folder)
    try:
        FlowModule(glow("numpy"))(banana(9) * 0)
    except ValueError as error:
        (folder / f"{rank}.txt").write_text(str(error))
    torch.distributed.destroy_process_group()


class TestRefused:
    def test_networks(self):
        for network in (
            CASES["NetworkLoop, additive"].network("numpy"),
            inv.ResidualBlock(2, 4, engine="numpy"),
            "NetworkGlow",
        ):
            with pytest.raises(TypeError, match="expected an invertible network or layer"):
                FlowModule(network)
        split = CASES["NetworkMultiScaleConditionalHINT, split"].network("numpy")
        with pytest.raises(ValueError, match="flat vectors"):
            FlowModule(inv.reverse(split))

    @pytest.mark.parametrize(
        ("inputs", "error", "message"),
        [
            (lambda x: (), TypeError, "takes x, got 0 arguments"),
            (lambda x: (x, x), TypeError, "takes x, got 2 arguments"),
            (lambda x: (x.numpy(),), TypeError, r"x must be a tensor, got ndarray; write torch.as_tensor\(x\)"),
            (
                lambda x: (x.double(),),
                TypeError,
                r"must be torch.float32.*got torch.float64; write x.to\(torch.float32",
            ),
            (lambda x: (x.to("meta"),), TypeError, r"x is on meta.*write x.cpu\(\)"),
            (
                lambda x: (x[:, :1],),
                ValueError,
                r"forward: x must have shape \(N, C, H, W\) with C = 2.*, got \(9, 1, 1, 1\)",
            ),
            (lambda x: (x[0],), ValueError, r"got \(2, 1, 1\)"),
            (lambda x: (x * 0,), ValueError, "ActNorm.*cannot be initialised"),
        ],
    )
    def test_inputs(self, inputs, error, message):
        flow = FlowModule(glow("numpy"))
        with pytest.raises(error, match=message):
            flow.log_prob(*inputs(banana(9)))
        assert flow.get_parameter("AN[1,1].s").isnan().all()

    def test_conditions(self):
        case = CASES["NetworkConditionalGlow"]
        flow, (x, c) = FlowModule(case.network("numpy")), tensors(case.inputs())
        with pytest.raises(TypeError, match="takes x, c, got 1"):
            flow(x)
        with pytest.raises(ValueError, match="same batch"):
            flow(torch.cat((x, x)), c)
        with pytest.raises(ValueError, match=r"c must have spatial sizes \(2, 3\).*got \(2, 2, 2, 1\)"):
            flow(x, c[..., :1])
        with pytest.raises(ValueError, match=r"c must have shape \(N, C, H, W\) with C = 2, got \(2, 1, 2, 3\)"):
            flow.inverse(x, c[:, :1])
        with pytest.raises(ValueError, match=r"z must have shape \(N, C, H, W\) with C = 3.*, got \(2, 1, 2, 3\)"):
            flow.inverse(x[:, :1], c)
        with pytest.raises(ValueError, match=r"z and c must.*\(2, 3, 2, 3\) and \(4, 2, 2, 3\)"):
            flow.inverse(x, torch.cat((c, c)))
        with pytest.raises(
            ValueError, match=r"condition must have shape \(N, C, H, W\) with C = 2, got \(2, 1, 2, 3\)"
        ):
            flow.sample(3, c[:, :1])
        for arguments in ((3,), (3, c.numpy()), (3, c.float())):
            with pytest.raises(TypeError, match="condition"):
                flow.sample(*arguments)
        with pytest.raises(TypeError, match="takes a condition, which has the image size"):
            flow.sample(3, c, spatial=(2, 3))
        with pytest.raises(TypeError, match="takes no condition"):
            FlowModule(glow("numpy")).sample(3, c)

    def test_samples(self):
        flow = FlowModule(glow("numpy"))
        with pytest.raises(ValueError, match="not initialised"):
            flow.sample(3)
        flow(banana(9))
        with pytest.raises(ValueError, match="n must be a positive integer, got 0"):
            flow.sample((2, 0))
        with pytest.raises(TypeError, match="spatial must be"):
            flow.sample(2, spatial=(1.5, 1))

    def test_inverse(self):
        flow = FlowModule(inv.NetworkGlow(2, 4, 1, 1, split_scales=True, engine="numpy"))
        x = torch.randn(4, 2, 2, 4)
        with pytest.raises(ValueError, match="not initialised"):
            flow.inverse(torch.randn(4, 16))
        z, _ = flow(x)
        with pytest.raises(ValueError, match=r"z must have shape \(N, 16\), got \(4, 8\)"):
            flow.inverse(z[:, :8].detach())
        state = flow.state_dict()
        fresh = FlowModule(inv.NetworkGlow(2, 4, 1, 1, split_scales=True, engine="numpy"))
        fresh.load_state_dict(state)
        with pytest.raises(ValueError, match="image size is not known yet"):
            fresh.inverse(z.detach())
        fresh.network.spatial = (4, 2)
        torch.testing.assert_close(fresh.inverse(z.detach()).detach(), x)

    def test_no_density(self):
        flow = FlowModule(glow("numpy", logdet=False))
        assert isinstance(flow(banana(9)), torch.Tensor)
        with pytest.raises(ValueError, match="no density"):
            flow.log_prob(banana(9))


def test_torch_is_imported_only_when_asked_for():
    done = run_python(
        "import sys, pyinvnets; assert 'torch' not in sys.modules; sys.modules['torch'] = None; import pyinvnets.torch"
    )
    assert "ImportError: pyinvnets.torch needs PyTorch; write pip install 'pyinvnets[torch]'" in done.stderr
