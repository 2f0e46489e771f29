"""`make drill`: everything is lost and restored by the deployed state machine, in a stage of its own."""

from pathlib import Path

import pytest

from local.drill import drill
from local.temporary_stage import NotTemporary


@pytest.mark.needs_engine
@pytest.mark.own_cloud
def test_nothing_that_the_backup_holds_is_lost(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("drills") / "drill"
    outcome = drill(home, print)
    assert (outcome.writes_before_backup >= 30, outcome.lost_before_backup) == (True, 0)
    # Otherwise the drill would not have lost anything.
    assert outcome.lost_since_backup > 0
    assert not home.exists()


def test_a_drill_refuses_a_folder_that_it_did_not_create(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    with pytest.raises(NotTemporary, match="was not created by this command"):
        drill(tmp_path, print)
    assert (tmp_path / "postgres").is_dir()
