# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service does, for the API and the page alike."""

from __future__ import annotations

import json
import logging
import typing as t

import msgspec

from ..plugins.module_utils.errors import printable
from ..plugins.module_utils.function.model import LiveFunction
from .deployments.log import FileLogStore, LogStore
from .deployments.model import Deployment, Phase, Settings, now
from .deployments.queue import Queue
from .deployments.store import DeploymentStore, Exists
from .functions import Functions
from .masking import without_secrets
from .names import check_function, check_tenant
from .problem import Code, ServiceProblem
from .sources.store import SourceStore
from .tokens import ALL_TENANTS, Role, Token, TokenStore
from .variables import Variable, VariableStore, with_variable

KEPT_READY = 5
"""How many deployments that became ready are kept of each function, to go back to."""

KEPT_OTHERS = 5
"""How many that failed or were cancelled are kept of each function, with their logs."""

MOST_LOG_LINES = 10_000

AUDIT = logging.getLogger("wasmfaas.audit")


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function as a client sees it; `deployment` is its newest one."""

    tenant: str
    name: str
    status: str
    url: str
    image: str
    digest: str
    source_digest: str
    created: str
    details: dict[str, t.Any]
    deployment: Deployment | None


class Service:
    """The operations of the service. Each checks that the token allows it, and raises ServiceProblem if not.

    All methods wait for disks and processes: handlers call them in threads.
    """

    def __init__(
        self,
        deployments: DeploymentStore,
        sources: SourceStore,
        functions: Functions,
        variables: VariableStore,
        tokens: TokenStore,
        queue: Queue,
        logs: LogStore | None = None,
    ) -> None:
        """Args:
        logs: None for those files that the store of deployments names.
        """
        self.logs: LogStore = logs or FileLogStore(deployments.log_file)
        self.deployments, self.sources, self.tokens = deployments, sources, tokens
        self._functions, self._variables, self._queue = functions, variables, queue

    # Who may do what.

    def token(self, secret: str) -> Token:
        """The token with these characters; raises ServiceProblem."""
        found = self.tokens.find(secret) if secret else None
        if found is None:
            raise ServiceProblem(
                Code.UNAUTHORIZED,
                "The token is missing, unknown, revoked or has ended.",
                next_step="Send `Authorization: Bearer TOKEN`; whoever runs the service gives you one.",
            )
        return found

    def may(self, token: Token, tenant: str, role: Role) -> None:
        """Check that a token allows something for a tenant; raises ServiceProblem.

        A tenant that the token is not for answers as one that does not exist would: its name is nobody else's business.
        """
        check_tenant(tenant)
        if token.role is Role.ADMIN:
            return
        if tenant != token.tenant:
            raise ServiceProblem(
                Code.FORBIDDEN,
                f"The token {token.name!r} is for the tenant {token.tenant!r}, not for {tenant!r}.",
                next_step="Correct the tenant in the URL, or use a token of that tenant.",
            )
        if role is not Role.READ and token.role is not Role.DEPLOY:
            raise ServiceProblem(
                Code.FORBIDDEN,
                f"The token {token.name!r} may only read.",
                next_step="Use a token with the role `deploy`.",
            )

    def may_administer(self, token: Token) -> None:
        """Check that a token has the role `admin`; raises ServiceProblem."""
        if token.role is not Role.ADMIN:
            raise ServiceProblem(
                Code.FORBIDDEN,
                f"The token {token.name!r} has the role {token.role}; this needs `admin`.",
                next_step="Ask whoever runs the service.",
            )

    def create_token(self, token: Token, name: str, tenant: str, role: Role, expires: str = "") -> str:
        """Make a token and give its characters, which are shown only once."""
        self.may_administer(token)
        if tenant != ALL_TENANTS:
            check_tenant(tenant)
        secret = self.tokens.create(name, tenant, role, expires)
        audit("token.create", token, tenant, created=name, role=str(role))
        return secret

    def delete_token(self, token: Token, name: str) -> None:
        """Revoke a token."""
        self.may_administer(token)
        if name == token.name:
            raise ServiceProblem(
                Code.CONFLICT,
                "A token cannot revoke itself.",
                next_step="Revoke it with another token of the role admin.",
            )
        if not self.tokens.delete(name):
            raise ServiceProblem(
                Code.NOT_FOUND, f"There is no token {name!r}.", next_step="See those there are: GET /v1/tokens."
            )
        audit("token.delete", token, "", deleted=name)

    def list_tokens(self, token: Token) -> list[Token]:
        """All tokens."""
        self.may_administer(token)
        return self.tokens.all()

    # Sources and deployments.

    def tenants(self, token: Token) -> list[str]:
        """The tenants that a token may see."""
        if token.role is not Role.ADMIN:
            return [token.tenant]
        of_tokens = {one.tenant for one in self.tokens.all()} - {ALL_TENANTS}
        return sorted({*self._functions.tenants(), *self.deployments.tenants(), *of_tokens})

    def check_source(self, token: Token, tenant: str, digest: str) -> str:
        """The tree digest of a source that is kept; raises ServiceProblem."""
        source = self.sources.find(tenant, digest)
        if source is None:
            raise ServiceProblem(
                Code.NOT_FOUND,
                f"There is no source {digest} of {tenant}.",
                next_step=f"Upload it: PUT /v1/tenants/{tenant}/sources/DIGEST.",
            )
        return source.source

    def deploy(self, token: Token, tenant: str, function: str, source: str, settings: Settings) -> Deployment:
        """Deploy a source; gives the new deployment, or the newest where that does the same already."""
        self.may(token, tenant, Role.DEPLOY)
        check_function(function)
        tree = self.check_source(token, tenant, source)
        variables = self._variables.read(tenant, function)
        settings_digest = self._variables.settings_digest(tenant, settings, variables)
        while True:
            kept = self.deployments.of_function(tenant, function)
            newest = kept[0] if kept else None
            if newest is not None and newest.content == (tree, settings_digest) and self._holds(newest):
                return newest
            self._refuse_too_many(tenant, function)
            deployment = Deployment(
                number=newest.number + 1 if newest else 1,
                tenant=tenant,
                function=function,
                source=tree,
                settings=settings,
                settings_digest=settings_digest,
                requested_by=token.name,
                created=now(),
            )
            try:
                deployment = self.deployments.create(deployment)
                break
            except Exists:
                continue
        audit("deployment.create", token, tenant, function=function, number=deployment.number, source=tree)
        self._queue.submit(deployment)
        for waiting in self._queue.queued(tenant, function):
            if waiting.number < deployment.number:
                self._queue.cancel(
                    waiting,
                    f"It was replaced by deployment {deployment.number} before its turn came.",
                    f"See deployment {deployment.number}.",
                )
        return deployment

    def _holds(self, deployment: Deployment) -> bool:
        """Whether a deployment goes on, or its function still is what it made and answers."""
        if deployment.phase is not Phase.READY:
            return not deployment.phase.is_finished and not deployment.cancelling
        live = self._functions.read(deployment.tenant, deployment.function)
        return live is not None and live.digest == deployment.artifact and live.status in ("ready", "sleeping")

    def _refuse_too_many(self, tenant: str, function: str) -> None:
        limits, queued = self._queue.limits, self._queue.queued()
        own = [one for one in queued if one.tenant == tenant and one.function != function]
        if len(own) >= limits.queued_per_tenant or len(queued) >= limits.queued:
            raise ServiceProblem(
                Code.TOO_MANY,
                f"{len(own)} deployments of {tenant} and {len(queued)} in all wait already.",
                next_step="Try again when some of them are done.",
                retry_after=30,
            )

    def deployment(self, token: Token, tenant: str, function: str, number: int) -> Deployment:
        """One deployment."""
        self.may(token, tenant, Role.READ)
        check_function(function)
        found = self.deployments.read(tenant, function, number)
        if found is None:
            raise ServiceProblem(
                Code.NOT_FOUND,
                f"There is no deployment {number} of {tenant}/{function}.",
                next_step=f"See those there are: GET /v1/tenants/{tenant}/functions/{function}/deployments.",
            )
        return found

    def list_deployments(self, token: Token, tenant: str, function: str) -> list[Deployment]:
        """The kept deployments of a function, newest first."""
        self.may(token, tenant, Role.READ)
        return self.deployments.of_function(tenant, check_function(function))

    def position(self, deployment: Deployment) -> int | None:
        """Its place in the queue, 1 for the next; None where it does not wait."""
        return self._queue.position(deployment) if deployment.phase is Phase.QUEUED else None

    def cancel(self, token: Token, tenant: str, function: str, number: int) -> Deployment:
        """End a deployment that waits or is built."""
        self.may(token, tenant, Role.DEPLOY)
        deployment = self.deployment(token, tenant, function, number)
        ended = self._queue.cancel(deployment, f"It was cancelled by {token.name}.", "Deploy again when you want it.")
        if ended is None:
            raise ServiceProblem(
                Code.CONFLICT,
                f"Deployment {number} of {tenant}/{function} is {deployment.phase} and cannot be cancelled.",
                next_step="Roll back to an earlier deployment instead.",
            )
        audit("deployment.cancel", token, tenant, function=function, number=number)
        return ended

    def roll_back(self, token: Token, tenant: str, function: str, to: int | None = None) -> Deployment:
        """Deploy the source and settings of an earlier deployment again: of `to`, or of the one before the live one."""
        self.may(token, tenant, Role.DEPLOY)
        ready = [one for one in self.list_deployments(token, tenant, function) if one.phase is Phase.READY]
        if to is None:
            live = self._functions.read(tenant, function)
            earlier = [one for one in ready if live is None or one.artifact != live.digest]
            found = next(iter(earlier), None)
        else:
            found = next((one for one in ready if one.number == to), None)
        if found is None:
            what = f"deployment {to} that became ready" if to is not None else "earlier version"
            raise ServiceProblem(
                Code.CONFLICT,
                f"{tenant}/{function} has no {what}.",
                next_step=f"See those there are: GET /v1/tenants/{tenant}/functions/{function}/deployments.",
            )
        return self.deploy(token, tenant, function, found.source, found.settings)

    def promote(self, token: Token, tenant: str, function: str) -> None:
        """Make the canary of a function its version."""
        self.may(token, tenant, Role.DEPLOY)
        self._functions.promote(tenant, check_function(function))
        audit("function.promote", token, tenant, function=function)

    def forget_oldest(self, deployment: Deployment) -> None:
        """Forget the oldest deployments of the same function, and the sources that only they named."""
        tenant = deployment.tenant
        kept: dict[bool, int] = {True: 0, False: 0}
        for one in self.deployments.of_function(tenant, deployment.function):
            ready = one.phase is Phase.READY
            kept[ready] += one.phase.is_finished
            if one.phase.is_finished and kept[ready] > (KEPT_READY if ready else KEPT_OTHERS):
                self.deployments.remove(one)
        used = {one.source for one in self.deployments.of_tenant(tenant)}
        self.sources.forget(tenant, used)

    # Functions.

    def list_functions(self, token: Token, tenant: str) -> list[Function]:
        """The functions of a tenant by name, with those that were never ready."""
        self.may(token, tenant, Role.READ)
        live = {one.name: one for one in self._functions.of_tenant(tenant)}
        newest: dict[str, Deployment] = {}
        for one in self.deployments.of_tenant(tenant):
            newest.setdefault(one.function, one)
        names = sorted({*live, *newest})
        return [_function(tenant, name, live.get(name), newest.get(name)) for name in names]

    def function(self, token: Token, tenant: str, name: str) -> Function:
        """One function."""
        self.may(token, tenant, Role.READ)
        live = self._functions.read(tenant, check_function(name))
        deployments = self.deployments.of_function(tenant, name)
        if live is None and not deployments:
            raise _no_function(tenant, name)
        return _function(tenant, name, live, deployments[0] if deployments else None)

    def delete(self, token: Token, tenant: str, name: str, *, keep_data: bool = False) -> bool:
        """Remove a function with its deployments and variables; gives whether anything was there."""
        self.may(token, tenant, Role.DEPLOY)
        check_function(name)
        deployments = self.deployments.of_function(tenant, name)
        for one in deployments:
            if not one.phase.is_finished and self._queue.cancel(one, "The function is deleted.", "") is None:
                raise ServiceProblem(
                    Code.CONFLICT,
                    f"Deployment {one.number} of {tenant}/{name} is being rolled out.",
                    next_step="Delete the function when the deployment is finished.",
                    retry_after=5,
                )
        existed = self._functions.delete(tenant, name, keep_data=keep_data)
        self._variables.write(tenant, name, {})
        for one in deployments:
            if one.phase.is_finished:
                self.deployments.remove(one)
        if not existed and not deployments:
            raise _no_function(tenant, name)
        audit("function.delete", token, tenant, function=name, keep_data=keep_data)
        return True

    def log(self, token: Token, tenant: str, name: str, lines: int) -> list[str]:
        """The last lines that a function wrote, without the values of its secrets."""
        self.function(token, tenant, name)
        if not 1 <= lines <= MOST_LOG_LINES:
            raise ServiceProblem(
                Code.INVALID, f"lines: must be from 1 to {MOST_LOG_LINES}.", next_step="Give `?lines=100`."
            )
        secrets = [one.value for one in self._variables.read(tenant, name).values() if one.secret]
        return [without_secrets(printable(line), secrets) for line in self._functions.log(tenant, name, lines)]

    def variables(self, token: Token, tenant: str, name: str) -> dict[str, Variable]:
        """The variables of a function, secret ones with an empty value."""
        self.may(token, tenant, Role.READ)
        found = self._variables.read(tenant, check_function(name))
        return {key: Variable("", True) if one.secret else one for key, one in sorted(found.items())}

    def variables_wait(self, token: Token, tenant: str, name: str) -> bool:
        """Whether variables were set that no deployment brings to the function yet."""
        self.may(token, tenant, Role.READ)
        current = self._current(tenant, check_function(name))
        if current is None:
            return False
        variables = self._variables.read(tenant, name)
        return current.settings_digest != self._variables.settings_digest(tenant, current.settings, variables)

    def set_variable(
        self, token: Token, tenant: str, name: str, variable: str, value: Variable | None, *, deploy: bool = True
    ) -> Deployment | None:
        """Set a variable, or remove it (None); gives the deployment that brings it to the function, if there is one to
        deploy again.

        Args:
            deploy: false leaves it to the next deployment.
        """
        self.may(token, tenant, Role.DEPLOY)
        before = self._variables.read(tenant, check_function(name))
        after = with_variable(before, variable, value)
        if after != before:
            self._variables.write(tenant, name, after)
            audit("variable.set" if value else "variable.delete", token, tenant, function=name, variable=variable)
        current = self._current(tenant, name) if deploy else None
        if current is None or self.sources.find(tenant, current.source) is None:
            return None
        return self.deploy(token, tenant, name, current.source, current.settings)

    def _current(self, tenant: str, name: str) -> Deployment | None:
        """The newest deployment that is ready or on its way there."""
        for one in self.deployments.of_function(tenant, name):
            if one.phase is Phase.READY or not (one.phase.is_finished or one.cancelling):
                return one
        return None


def _function(tenant: str, name: str, live: LiveFunction | None, newest: Deployment | None) -> Function:
    """A function from what runs, and from its newest deployment."""
    working = newest is not None and not newest.phase.is_finished
    status = live.status if live else "progressing" if working else "failed"
    return Function(
        tenant=tenant,
        name=name,
        status=status,
        url=live.url if live else "",
        image=live.image if live else "",
        digest=live.digest if live else "",
        source_digest=live.source_digest if live else "",
        created=live.created if live else "",
        details=live.details if live else {},
        deployment=newest,
    )


def audit(event: str, token: Token, tenant: str, **more: t.Any) -> None:
    """Write one line about a change into the audit log: JSON, without values of variables."""
    AUDIT.info(json.dumps({"time": now(), "event": event, "by": token.name, "tenant": tenant, **more}))


def _no_function(tenant: str, name: str) -> ServiceProblem:
    return ServiceProblem(
        Code.NOT_FOUND,
        f"There is no function {tenant}/{name}.",
        next_step=f"See those there are: GET /v1/tenants/{tenant}/functions.",
    )


def public(deployment: Deployment, position: int | None = None) -> dict[str, t.Any]:
    """A deployment as clients see it."""
    shown: dict[str, t.Any] = msgspec.to_builtins(deployment)
    del shown["revision"]
    return {**shown, "position": position}


def public_function(function: Function) -> dict[str, t.Any]:
    """A function as clients see it."""
    fields = {name: getattr(function, name) for name in function.__struct_fields__ if name != "deployment"}
    return {**fields, "deployment": public(function.deployment) if function.deployment else None}
