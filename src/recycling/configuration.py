"""The configuration as Kedro reads it, without what it would pass over in silence."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import yaml
from kedro.config import OmegaConfigLoader
from omegaconf import DictConfig, OmegaConf

from recycling.errors import listed
from recycling.plan.parameters import SECTIONS, file_of, nearest, shown
from recycling.plan.studies import with_studies
from recycling.plan.variants import with_variants

logger = logging.getLogger(__name__)

_Files = dict[Path, DictConfig]
_COLLECTIONS = ("models", "ensembles", "pseudo_labeling", "studies", "tuning")
"""Sections of named things: another environment's are others, none is left out by mistake."""


class ConfigurationError(ValueError):
    """The configuration cannot be used as it is: one line, which file or key, what to do."""


def environment_variable(name: str) -> str:
    """The value of an environment variable, for `${env:NAME}` in the configuration.

    Raises:
        ConfigurationError: It is not set.

    Example:
        >>> environment_variable("PATH") == os.environ["PATH"]
        True
    """
    if not (value := os.environ.get(name)):
        raise ConfigurationError(
            f"the environment variable {name} is not set; set it to the folder of the data: "
            f"{name}=path/to/data kedro run ..."
        )
    return value


class ConfigLoader(OmegaConfigLoader):
    """Kedro's own, which refuses what it does not know and says what it replaces.

    - A key of ``--params`` that no parameter has is refused.
    - What ``--params`` sets within a section leaves the rest of the section as the files have it.
      Kedro merges it into each environment's files, and one environment's sections then replace
      those of the other.
    - A section of an environment replaces that of ``conf/base`` whole, as Kedro has it: what is
      left out by that is said.
    - A file that cannot be read is named, with the line.
    - A model that lists seeds, image sizes or snapshots becomes as many models; a study adds those
      of its arms.
    """

    _replacing: frozenset[Path] = frozenset()  # the files of the environment that is run

    def __init__(self, conf_source: str, *args: Any, **kwargs: Any) -> None:
        # Recipes and baselines are where the configuration is, wherever that is.
        inside = partial(_inside, conf_source)
        OmegaConf.register_new_resolver("conf", inside, replace=True)
        self._inside = inside
        self._read: dict[str, dict[str, Any]] = {}
        super().__init__(conf_source, *args, **kwargs)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Kedro's, read once: a command asks seven times for the parameters."""
        if key in self.data:  # what was set by hand
            return super().__getitem__(key)
        if key not in self._read:
            self._read[key] = self._from_files(key)
        return deepcopy(self._read[key])

    def _from_files(self, key: str) -> dict[str, Any]:
        # What `${conf:NAME}` is for this loader: resolvers are one for all.
        OmegaConf.register_new_resolver("conf", self._inside, replace=True)
        found: dict[str, Any] = super().__getitem__(key)
        if key == "parameters" and isinstance(models := found.get("models"), Mapping):
            models = with_variants(models, shown(file_of("models", self)))
            studies = found.get("studies") or {}
            found["models"] = with_studies(models, studies, shown(file_of("studies", self)))
        return found

    def _resolve_from_raw_config(
        self,
        key: str,
        base_configs: _Files,
        env_configs: _Files,
        base_path: str,
        env_path: str,
        processed_files: set[Path],
    ) -> dict[str, Any]:
        if key == "parameters":
            self._replacing = frozenset(env_configs)
            self._check_known([*base_configs.values(), *env_configs.values()])
            _say_left_out(base_configs, env_configs)
        found: dict[str, Any] = super()._resolve_from_raw_config(
            key, base_configs, env_configs, base_path, env_path, processed_files
        )
        return found

    def _merge_and_resolve(self, key: str, config_per_file: _Files) -> dict[str, Any]:
        given = self.runtime_params
        if key == "parameters" and self._replacing.issuperset(config_per_file):
            here = {section for config in config_per_file.values() for section in config}
            # Kedro's resolver keeps what it finds first, which has to be all that was given.
            self._runtime_params_oc = OmegaConf.create(given)
            self.runtime_params = {name: given[name] for name in given if name in here}
        try:
            merged: dict[str, Any] = super()._merge_and_resolve(key, config_per_file)
        finally:
            self.runtime_params = given
        return merged

    def _read_dir_configs(
        self, conf_path: str, patterns: Any, key: str, processed_files: set[Path], *rest: Any
    ) -> _Files:
        try:
            files: _Files = super()._read_dir_configs(
                conf_path, patterns, key, processed_files, *rest
            )
        except Exception as error:
            for path in self._files(conf_path, patterns):
                self._check_readable(path)
            if "Duplicate keys" in str(error):
                where = str(error).replace(f"{Path.cwd()}/", "")
                raise ConfigurationError(f"{where}; keep one of them") from error
            raise
        return files

    def _files(self, conf_path: str, patterns: Any) -> Iterator[str]:
        for pattern in patterns:
            for path in self._fs.glob(Path(f"{conf_path}/{pattern}").as_posix()):
                if self._is_valid_config_path(Path(path)):
                    yield path

    def _check_readable(self, path: str) -> None:
        """Stop with the name of the file and the line, where it is not a mapping in YAML."""
        where = shown(Path(path))
        content = self._fs.cat_file(path)
        try:
            text = content.decode("utf8")
            loaded = OmegaConf.create(text)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise ConfigurationError(
                f"{where} line {line}: not UTF-8 text; save the file as UTF-8"
            ) from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = "" if mark is None else f" line {mark.line + 1}"
            hint = "; keep one of the two" if "duplicate key" in str(error.problem) else ""
            raise ConfigurationError(
                f"{where}{line}: not valid YAML: {error.problem or error.context}{hint}"
            ) from error
        except Exception as error:
            raise ConfigurationError(f"{where}: {error}") from error
        if not isinstance(loaded, DictConfig):
            raise ConfigurationError(f"{where}: should be keys with their values, not a list")

    def _check_known(self, configs: list[DictConfig]) -> None:
        """Refuse what `--params` sets and nothing reads, and settings of a model there is not."""
        known = {*SECTIONS, *(str(key) for config in configs for key in config)}
        unknown = [str(key) for key in self.runtime_params or {} if key not in known]
        if unknown and (unknown := [key for key in unknown if key not in self._asked_for()]):
            faults = [
                f"no parameter {key!r}; {nearest(key, dict.fromkeys(known))}" for key in unknown
            ]
            raise ConfigurationError(f"--params: {'; '.join(faults)}")
        models = {name for config in configs for name in config.get("models") or ()}
        for name in (self.runtime_params or {}).get("models") or ():
            if name not in models:
                raise ConfigurationError(
                    f"--params: no model {name!r}; {nearest(name, dict.fromkeys(models))}"
                )

    def _asked_for(self) -> set[str]:
        """What the files ask of `--params` by `${runtime_params:KEY}`."""
        found = set()
        for env in (self.base_env, self.env or self.default_run_env):
            for path in self._files(self._get_conf_env_path(env), ["*", "**/*"]):
                found |= set(_ASKED.findall(self._fs.cat_file(path).decode("utf8", "replace")))
        return found


def _inside(conf_source: str, name: str) -> str:
    """A file or folder of the configuration.

    >>> _inside("project/conf", "recipes")
    'project/conf/recipes'
    """
    return (Path(conf_source) / name).as_posix()


_ASKED = re.compile(r"\$\{runtime_params:\s*(\w+)")


def _say_left_out(base_configs: _Files, env_configs: _Files) -> None:
    """Say what the sections of an environment leave out of those that they replace."""
    base = {section: (path, config) for path, config in base_configs.items() for section in config}
    for path, config in env_configs.items():
        for section in config:
            if section not in base or section in _COLLECTIONS:
                continue
            file, replaced = base[section]
            before, now = (
                cast(dict[Any, Any], OmegaConf.to_container(both, resolve=False))[section]
                for both in (replaced, config)
            )
            name = str(section)
            if left_out := list(_missing(before, now, name)):
                _say_once(
                    f"{shown(path)}: {name} replaces that of {shown(file)} whole; left at its "
                    f"default: {listed(left_out, 5)}"
                )


@cache
def _say_once(line: str) -> None:
    """One command reads the parameters several times."""
    logger.info("%s", line)


def _missing(before: Any, now: Any, key: str) -> Iterator[str]:
    """The keys that are in one section and not in another; of those within each other, the outer.

    >>> list(_missing({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}}, "s"))
    ['s.a', 's.b.d']
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name, value in before.items():
            if name not in now:
                yield f"{key}.{name}"
            else:
                yield from _missing(value, now[name], f"{key}.{name}")
