"""Class lines and signatures, written wrongly."""

from domain.events import CartAbandoned, PageAbandoned, PurchaseMade
from workflows import Journey, Outcome, Parameters


def cart_of(cart: CartAbandoned) -> str:
    return cart.cart_id


def page_of(page: PageAbandoned) -> str:
    return page.url or ""


def is_dear(cart: CartAbandoned) -> bool:
    return cart.cart_id == "dear"


class OtherEvent(Journey[CartAbandoned]):
    async def run(self, event: PurchaseMade, /) -> Outcome:  # error: mypy=override pyright=reportIncompatibleMethodOverride
        return Outcome.completed(event.order_id)


class OneOfTwo(Journey[CartAbandoned | PurchaseMade]):
    async def run(self, event: CartAbandoned, /) -> Outcome:  # error: mypy=override pyright=reportIncompatibleMethodOverride
        return Outcome.completed(event.cart_id)


class Unnarrowed(Journey[CartAbandoned | PurchaseMade]):
    async def run(self, event: CartAbandoned | PurchaseMade, /) -> Outcome:
        return Outcome.completed(event.order_id)  # error: mypy=union-attr pyright=reportAttributeAccessIssue


class NoOutcome(Journey[CartAbandoned]):
    async def run(self, event: CartAbandoned, /) -> None:  # error: mypy=override pyright=reportIncompatibleMethodOverride
        pass


class NoEnd(Journey[CartAbandoned]):
    async def run(self, event: CartAbandoned, /) -> Outcome:  # error: mypy=return pyright=reportReturnType
        if event.cart_id:
            return Outcome.completed()


class NoReason(Journey[CartAbandoned]):
    async def run(self, event: CartAbandoned, /) -> Outcome:
        return Outcome.exited()  # error: mypy=call-arg pyright=reportCallIssue


class NotAsync(Journey[CartAbandoned]):
    def run(self, event: CartAbandoned, /) -> Outcome:  # error: mypy=override pyright=reportIncompatibleMethodOverride
        return Outcome.completed(event.cart_id)


class NoEvent(Journey[str]):  # error: mypy=type-var pyright=reportInvalidTypeArguments
    pass


class NoParameters(Journey[CartAbandoned, int]):  # error: mypy=type-var pyright=reportInvalidTypeArguments
    pass


class ListensToOne(Journey[CartAbandoned], listens=PurchaseMade):  # error: mypy=arg-type pyright=reportArgumentType,reportGeneralTypeIssues
    pass


class ListensToAName(Journey[CartAbandoned], listens=["purchase_made"]):  # error: mypy=list-item pyright=reportArgumentType,reportGeneralTypeIssues
    pass


class ListensToAnEvent(Journey[CartAbandoned], listens=[PurchaseMade(order_id="o1")]):  # error: mypy=list-item pyright=reportArgumentType,reportGeneralTypeIssues
    pass


class KeyOfAnother(Journey[CartAbandoned], key=page_of):  # error: pyright=reportArgumentType,reportGeneralTypeIssues
    pass


class KeyOfOneOfTwo(Journey[CartAbandoned | PageAbandoned], key=cart_of):  # error: pyright=reportArgumentType,reportGeneralTypeIssues
    pass


class KeyOfNothing(Journey[CartAbandoned], key=lambda cart: cart.order_id):  # error: pyright=reportAttributeAccessIssue
    pass


class NoKey(Journey[CartAbandoned], key=lambda _: None):  # error: mypy=arg-type pyright=reportArgumentType,reportGeneralTypeIssues
    pass


class WhereOfAnother(Journey[PageAbandoned], where=is_dear):  # error: pyright=reportArgumentType,reportGeneralTypeIssues
    pass


class WhereOfOneOfTwo(Journey[CartAbandoned | PageAbandoned], where=is_dear):  # error: pyright=reportArgumentType,reportGeneralTypeIssues
    pass


class ReEnters(Journey[CartAbandoned], re_entry=True):  # error: mypy=arg-type pyright=reportArgumentType,reportGeneralTypeIssues
    pass


class Misspelt(Journey[CartAbandoned], listen=[PurchaseMade]):  # error: mypy=call-arg pyright=reportCallIssue,reportGeneralTypeIssues
    pass


class Patience(Parameters):
    after: int = 1


class Given(Journey[CartAbandoned, Patience]):
    async def run(self, event: CartAbandoned, /) -> Outcome:
        self.parameters.after = 2  # error: mypy=misc
        return Outcome.completed(event.cart_id)
