"""Several processes train one flow, each on its part of the batches, by PyTorch's DistributedDataParallel.

Run it with `torchrun --nproc-per-node 2 examples/ddp.py` (`pip install 'pyinvnets[torch]'`); it needs no Julia and
takes about 20 seconds. Alone, as `python examples/ddp.py`, it does the same in one process.
"""

import time

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

import pyinvnets as inv
from pyinvnets.torch import FlowModule

started = time.perf_counter()
torch.set_num_threads(1)  # leaves the cores to NumPy, which computes the flow
launched = distributed.is_torchelastic_launched()
if launched:
    distributed.init_process_group("gloo")
rank, processes = (distributed.get_rank(), distributed.get_world_size()) if launched else (0, 1)

# No first batch has set ActNorm yet: those of all processes do it together, in the first forward.
flow = FlowModule(inv.NetworkGlow(2, 16, 1, 6, engine="numpy", seed=1))
model = DistributedDataParallel(flow) if launched else flow
optimiser = torch.optim.Adam(model.parameters(), 2e-3)


def objective(x):
    """The model itself is called, not flow.log_prob, so that DistributedDataParallel takes the mean of gradients."""
    z, logdet = model(x)
    return (z.square().flatten(1).sum(1) / 2 - logdet).mean()


samples, batch, updates = 15_000, 150, 200
data = torch.from_numpy(inv.sample_banana(samples, seed=1, engine="numpy").T)
for update in range(updates):
    first = update * batch % samples
    own = data[first : first + batch].tensor_split(processes)[rank]
    loss = objective(own)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if rank == 0 and (update + 1) % 50 == 0:
        print(f"update {update + 1:4}: objective {loss.item():.3f}", flush=True)

# Every process has the same weights, to the last bit.
weights = torch.nn.utils.parameters_to_vector(flow.parameters()).detach()
spread = 0.0
if launched:
    everyones = [torch.empty_like(weights) for _ in range(processes)]
    distributed.all_gather(everyones, weights)
    spread = max(float((other - weights).abs().max()) for other in everyones)
    distributed.destroy_process_group()
if rank == 0:
    print(f"{processes} process(es), weights differ by {spread}, {time.perf_counter() - started:.0f} s")
