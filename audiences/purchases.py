"""What customers buy, and who is worth a special effort."""

from datetime import timedelta
from decimal import Decimal

from domain.audiences import Count, First, Last, Recency, Segment, Sum
from domain.events import PurchaseMade

orders = Count(PurchaseMade)
orders_90d = Count(PurchaseMade, within=timedelta(days=90))
spent = Sum(PurchaseMade, "total")
first_order_at = First(PurchaseMade)
last_order_at = Last(PurchaseMade)
days_since_order = Recency(PurchaseMade)

high_value = Segment(lambda customer: customer[spent] >= Decimal(1_000))
lapsing = Segment(cel="orders >= 2 && days_since_order >= 60")
regular = Segment(cel="orders >= 3")
