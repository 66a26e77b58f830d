"""Which process of how many: what launchers say, and what is told where they say too little."""

import pytest

from deeppseudopot_jax.errors import ClusterError
from deeppseudopot_jax.run.cluster import Place, place

PLAIN = {"JAX_COORDINATOR_ADDRESS": "node1:1234", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "2"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_MCA_orte_hnp_uri": "494141440.0;tcp://192.0.2.2:51283",
}
SLURM = {
    "SLURM_JOB_ID": "17",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
}


def test_a_process_on_its_own():
    assert place({}) is None
    assert place({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}) is None
    # A batch script of a job of several tasks is itself one process.
    assert place({"SLURM_JOB_ID": "17", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}) is None


def test_launchers():
    assert place(PLAIN) == Place("plain variables", 4, 2, "node1:1234")
    assert place(OPEN_MPI) == Place("Open MPI", 4, 3, None)
    assert place(SLURM) == Place("Slurm", 8, 0, None)
    assert place({**SLURM, **OPEN_MPI}) == Place("Open MPI", 4, 3, None)
    assert place({**SLURM, **PLAIN}) == Place("plain variables", 4, 2, "node1:1234")


def test_an_address_helps_a_launcher_that_does_not_lead_to_the_first_process():
    open_mpi_5 = {name: OPEN_MPI[name] for name in list(OPEN_MPI)[:2]}
    with pytest.raises(ClusterError, match=r"OMPI_MCA_orte_hnp_uri.*JAX_COORDINATOR_ADDRESS"):
        place(open_mpi_5)
    known = {**open_mpi_5, "JAX_COORDINATOR_ADDRESS": "node1:1234"}
    assert place(known) == Place("Open MPI", 4, 3, "node1:1234")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"JAX_NUM_PROCESSES": None}, "JAX_COORDINATOR_ADDRESS is set, but not JAX_NUM_PROCESSES"),
        ({"JAX_PROCESS_ID": None}, "JAX_PROCESS_ID is not set"),
        ({"JAX_COORDINATOR_ADDRESS": None}, "JAX_COORDINATOR_ADDRESS not set"),
        ({"JAX_COORDINATOR_ADDRESS": "node1"}, "host:port"),
        ({"JAX_NUM_PROCESSES": "four"}, "JAX_NUM_PROCESSES = four"),
        ({"JAX_PROCESS_ID": "4"}, "JAX_PROCESS_ID = 4, but it has to be 0 to 3"),
    ],
)
def test_half_set_and_senseless_variables(changes, message):
    environment = {name: text for name, text in {**PLAIN, **changes}.items() if text is not None}
    with pytest.raises(ClusterError, match=message):
        place(environment)
