"""One product looked at, put in the cart, wished for or shared, and lists of them.

Source: Segment, "Spec: V2 Ecommerce Events" (browsing, core ordering, wishlisting, sharing).
"""

from decimal import Decimal
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from domain.events.base import PART, Event
from domain.events.commerce import EXAMPLE_PRODUCTS, Product

_EXAMPLE = {"product_id": "p1", "sku": "L-1", "name": "Lamp", "price": 81.5, "currency": "EUR"}


class OneProduct(BaseModel):
    """What every event about one product says. The product is known by its id or its SKU."""

    model_config = PART

    sku: str | None = None
    product_id: str | None = Field(default=None, validate_default=True)
    # An event's `name` is the name of its type, so the product's has another one here.
    product_name: str | None = Field(
        default=None, validation_alias=AliasChoices("name", "product_name")
    )
    category: str | None = None
    brand: str | None = None
    variant: str | None = None
    price: Decimal | None = None
    quantity: int | None = None
    coupon: str | None = None
    currency: str | None = None
    position: int | None = None
    value: Decimal | None = None
    url: str | None = None
    image_url: str | None = None

    @field_validator("product_id")
    @classmethod
    def _known(cls, value: str | None, info: ValidationInfo) -> str | None:
        if not value and not info.data.get("sku"):
            raise PydanticCustomError("unknown_product", "product_id or sku is required")
        return value

    def is_same(self, other: "OneProduct | Product") -> bool:
        """Whether both are one product: by the id where both have one, else by the SKU."""
        if self.product_id and other.product_id:
            return self.product_id == other.product_id
        return bool(self.sku) and self.sku == other.sku


class ProductClicked(OneProduct, Event, aliases=("Clicked Product",), example=_EXAMPLE):
    """A customer clicked on a product in a list."""


class ProductViewed(OneProduct, Event, aliases=("Viewed Product",), example=_EXAMPLE):
    """A customer looked at a product."""


class ProductAdded(
    OneProduct, Event, aliases=("Added Product",), example={**_EXAMPLE, "cart_id": "c1"}
):
    """A customer put a product into the cart."""

    cart_id: str | None = None


class ProductRemoved(
    OneProduct, Event, aliases=("Removed Product",), example={**_EXAMPLE, "cart_id": "c1"}
):
    """A customer took a product out of the cart."""

    cart_id: str | None = None


class Selection(BaseModel):
    """One filter or one sort of a list."""

    model_config = PART

    type: str | None = None
    value: str | None = None


class ProductsSearched(Event, aliases=("Searched Products",), example={"query": "blue roses"}):
    """A customer searched for products."""

    query: str | dict[str, Any] | None = None


class ProductListViewed(
    Event,
    aliases=("Viewed Product List", "Viewed Product Category"),
    example={"list_id": "deals", "category": "Lamps", "products": EXAMPLE_PRODUCTS},
):
    """A customer looked at a list or a category of products."""

    list_id: str | None = None
    category: str | None = None
    products: tuple[Product, ...] = ()


class ProductListFiltered(
    Event,
    aliases=("Filtered Product List",),
    example={"list_id": "deals", "filters": [{"type": "price", "value": "under-100"}]},
):
    """A customer filtered or sorted a list of products."""

    list_id: str | None = None
    category: str | None = None
    filters: tuple[Selection, ...] = ()
    sorts: tuple[Selection, ...] = ()
    products: tuple[Product, ...] = ()


class ProductAddedToWishlist(
    OneProduct,
    Event,
    aliases=("Added Product to Wishlist",),
    example={**_EXAMPLE, "wishlist_id": "w1"},
):
    """A customer wishes for a product."""

    wishlist_id: str | None = None
    wishlist_name: str | None = None


class ProductRemovedFromWishlist(
    OneProduct,
    Event,
    aliases=("Removed Product from Wishlist",),
    example={**_EXAMPLE, "wishlist_id": "w1"},
):
    """A customer no longer wishes for a product."""

    wishlist_id: str | None = None
    wishlist_name: str | None = None


class WishlistProductAddedToCart(
    OneProduct,
    Event,
    aliases=("Added Wishlist Product to Cart",),
    example={**_EXAMPLE, "wishlist_id": "w1", "cart_id": "c1"},
):
    """A customer put a product from the wish list into the cart."""

    wishlist_id: str | None = None
    wishlist_name: str | None = None
    cart_id: str | None = None


class ProductShared(
    OneProduct, Event, aliases=("Shared Product",), example={**_EXAMPLE, "share_via": "email"}
):
    """A customer told somebody of a product."""

    share_via: str | None = None
    share_message: str | None = None
    recipient: str | None = None


class CartShared(
    Event,
    aliases=("Shared Cart",),
    example={"cart_id": "c1", "share_via": "email", "products": EXAMPLE_PRODUCTS},
):
    """A customer showed somebody the cart."""

    cart_id: str | None = None
    share_via: str | None = None
    share_message: str | None = None
    recipient: str | None = None
    products: tuple[Product, ...] = ()
