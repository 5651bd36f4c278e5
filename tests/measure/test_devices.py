"""GPUs and energy, from a driver and counters that are made up: no machine of the tests has any."""

import sys

import pytest
from tests.measure.fake_nvml import FakeGpu, FakeNvml

from bakeoff.measure.gpu import Gpus, open_gpus
from bakeoff.measure.noise import NoiseMark, noise_between, noise_warnings
from bakeoff.measure.phases import Attempt
from bakeoff.measure.rapl import Rapl
from bakeoff.measure.summary import summarise
from bakeoff.schema.events import PhaseEvent

OURS, OTHER = 100, 999
GIB = 1024**3


def _sample(at, gpus, **more):
    return {"at": at, "host_bytes": 10, "counter": "pss", "cpu_seconds": 1.0, **more, "gpus": gpus}


def _measure(samples, *, ends=10.0):
    return summarise([], samples, [Attempt(started_at=0.0, ended_at=ends)])


@pytest.fixture
def nvml(monkeypatch):
    def install(*gpus, is_there=True):
        fake = FakeNvml(*gpus, is_there=is_there)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return install


def test_memory_of_our_processes_is_added_and_told_from_that_of_others(nvml):
    first, second = FakeGpu(used=1 * GIB), FakeGpu(name="second", used=1 * GIB)
    nvml(first, second)
    gpus = open_gpus()
    samples = [_sample(1.0, gpus.read({OURS, OURS + 1}, 1.0))]
    first.processes = {OURS: 3 * GIB, OTHER: GIB}
    second.processes = {OURS + 1: 2 * GIB}
    first.used, second.used = 5 * GIB, 3 * GIB
    samples.append(_sample(2.0, gpus.read({OURS, OURS + 1}, 2.0)))
    first.processes = {OURS: 4 * GIB}
    second.processes = {OURS + 1: GIB // 2}
    samples.append(_sample(3.0, gpus.read({OURS, OURS + 1}, 3.0)))
    measured = _measure(samples)
    assert measured.peak_device_process_bytes == 5 * GIB
    assert measured.peak_device_added_bytes == 6 * GIB
    assert [d.peak_process_bytes for d in measured.devices] == [4 * GIB, 2 * GIB]
    assert [d.name for d in measured.devices] == [first.name, "second"]
    noise = noise_between(_mark(0), _mark(10), samples)
    assert noise["gpu_used_bytes_before"] == 2 * GIB
    assert noise["gpu_other_bytes"] == GIB


def test_a_gpu_that_the_run_does_not_use_is_no_part_of_it(nvml):
    ours, idle = FakeGpu(), FakeGpu(name="idle", processes={OTHER: 4 * GIB})
    nvml(ours, idle)
    gpus = open_gpus()
    samples = [_sample(1.0, gpus.read({OURS}, 1.0))]
    ours.processes, ours.millijoules, idle.millijoules = {OURS: GIB}, 1_500_000, 9_000_000
    samples.append(_sample(2.0, gpus.read({OURS}, 2.0)))
    measured = _measure(samples)
    assert [device.index for device in measured.devices] == [0]
    assert measured.energy_joules == 500.0
    assert [(e.part, e.source) for e in measured.energy] == [("gpu 0", "nvml_counter")]


def test_where_the_driver_knows_no_process_what_the_gpu_gained_stands_in_under_its_own_name(nvml):
    gpu = FakeGpu(used=2 * GIB, processes={OTHER: None})
    nvml(gpu)
    gpus = open_gpus()
    samples = [_sample(1.0, gpus.read({OURS}, 1.0))]
    gpu.used = 6 * GIB
    samples.append(_sample(2.0, gpus.read({OURS}, 2.0)))
    measured = _measure(samples)
    assert measured.peak_device_process_bytes is None
    assert measured.peak_device_added_bytes == 4 * GIB
    assert measured.devices[0].peak_process_bytes is None


def test_without_a_counter_energy_is_added_up_of_power_and_says_so(nvml):
    gpu = FakeGpu(millijoules=None, milliwatts=100_000, processes={OURS: GIB})
    nvml(gpu)
    gpus = open_gpus()
    samples = [_sample(1.0, gpus.read({OURS}, 1.0))]
    gpu.milliwatts = 200_000
    samples.append(_sample(3.0, gpus.read({OURS}, 3.0)))
    measured = _measure(samples)
    assert measured.energy_joules == 300.0
    assert measured.energy[0].source == "nvml_power"
    assert measured.devices[0].mean_power_watts == 150.0


def test_what_a_gpu_does_not_tell_is_none_and_never_zero(nvml):
    silent = FakeGpu(
        processes={OURS: GIB}, utilisation=None, milliwatts=None, temperature=None,
        millijoules=None, throttle_reasons=None,
    )  # fmt: skip
    nvml(silent)
    reading = open_gpus().read({OURS}, 1.0)
    assert set(reading[0]) == {"index", "name", "process_bytes", "other_bytes", "used_bytes"}
    measured = _measure([_sample(1.0, reading)])
    device = measured.devices[0]
    assert (device.mean_utilisation_share, device.mean_power_watts) == (None, None)
    assert device.max_temperature_celsius is None
    assert (measured.energy, measured.energy_joules) == ((), None)


@pytest.mark.parametrize("gpus", [{"is_there": False}, {}], ids=["no driver", "no GPU"])
def test_a_machine_without_a_gpu_has_none(nvml, gpus):
    fake = nvml(**gpus)
    assert open_gpus() is None
    assert not fake.is_open


def test_a_driver_is_let_go_in_the_end(nvml):
    fake = nvml(FakeGpu())
    gpus = open_gpus()
    assert fake.is_open
    gpus.close()
    assert not fake.is_open


def test_heat_and_company_on_the_gpu_are_worth_a_warning(nvml):
    gpu = FakeGpu(processes={OURS: GIB, OTHER: 2 * GIB}, throttle_reasons=0x40)
    nvml(gpu)
    gpus = open_gpus()
    samples = [_sample(float(at), gpus.read({OURS}, float(at))) for at in (1, 2)]
    noise = noise_between(_mark(0), _mark(60), samples)
    assert noise["gpu_slowed_by_heat_share"] == 1.0
    texts = list(noise_warnings(noise, 60.0))
    assert any("heat for more than 50%" in text for text in texts)
    assert any("memory of the GPU" in text for text in texts)
    assert list(noise_warnings(noise, 5.0)) == []


def _mark(seconds, *, busy=0.0, steal=0.0):
    """Of a machine with two cores."""
    return NoiseMark(
        idle_seconds=2 * seconds - busy - steal,
        steal_seconds=steal,
        total_seconds=2 * seconds,
        load_average_1m=0.1,
    )


def test_processor_time_of_others_is_what_the_tree_did_not_use():
    samples = [{"at": 1.0, "host_bytes": 1, "cpu_seconds": 90.0}]
    noise = noise_between(_mark(0), _mark(100, busy=150.0, steal=10.0), samples)
    assert noise["other_busy_share"] == pytest.approx(60 / 200)
    assert noise["steal_share"] == pytest.approx(10 / 200)
    texts = list(noise_warnings(noise, 100.0))
    assert len(texts) == 2
    assert "more than 25% of the processors" in texts[0]
    quiet = noise_between(_mark(0), _mark(100, busy=92.0), samples)
    assert list(noise_warnings(quiet, 100.0)) == []


def test_processors_that_slow_down_are_noticed():
    samples = [
        {"at": float(at), "host_bytes": 1, "cpu_seconds": 1.0, "cpu_megahertz": 3000.0 - 150 * at}
        for at in range(9)
    ]
    noise = noise_between(_mark(0), _mark(100), samples)
    assert noise["cpu_frequency_drop_share"] == pytest.approx(1 - 1950 / 2850, abs=1e-4)
    assert "clocked lower by more than 25%" in next(noise_warnings(noise, 100.0))


def _zone(folder, name, title, microjoules, largest=1_000_000):
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(f"{title}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{largest}\n")


def test_counters_of_packages_are_followed_over_their_end(tmp_path):
    _zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    _zone(tmp_path, "intel-rapl:0:0", "core", 5)
    _zone(tmp_path, "intel-rapl:1", "psys", 5)
    rapl = Rapl(tmp_path)
    assert rapl.read() == {"package-0": 0.0}
    _zone(tmp_path, "intel-rapl:0", "package-0", 100_000)
    assert rapl.read() == {"package-0": 0.2}
    samples = [{**_sample(1.0, []), "package_joules": rapl.read()}]
    assert [(e.part, e.joules, e.source) for e in _measure(samples).energy] == [
        ("cpu package-0", 0.2, "rapl")
    ]


def test_without_counters_there_is_no_energy(tmp_path):
    assert Rapl(tmp_path).read() == {}
    assert _measure([{"at": 1.0, "host_bytes": 1, "counter": "pss"}]).energy_joules is None


def test_counters_begin_anew_with_each_attempt():
    gpu = {"index": 0, "name": "g", "process_bytes": 5, "joules_source": "nvml_counter"}
    samples = [_sample(at, [{**gpu, "joules": j}]) for at, j in [(1, 0), (2, 50), (11, 0), (12, 7)]]
    attempts = [Attempt(started_at=0.0, ended_at=3.0), Attempt(started_at=10.0, ended_at=13.0)]
    events = [PhaseEvent(at=0.5, phase="train"), PhaseEvent(at=10.5, phase="train")]
    assert summarise(events, samples, attempts).energy_joules == 57.0


@pytest.mark.gpu
def test_a_real_gpu_tells_memory_and_power():
    gpus = open_gpus()
    assert isinstance(gpus, Gpus)
    reading = gpus.read(set(), 1.0)[0]
    assert reading["used_bytes"] > 0
    assert reading["temperature_celsius"] > 0
    gpus.close()
