"""mmpretrain's Transformer layer, which can compute some of its outputs only."""

from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn

from .forms import give_forms
from .rows import take_tokens


class QueryAttention(MultiheadAttention):
    """mmpretrain's attention, for all tokens or for some queries.

    It also costs less: the parent takes queries, keys and values out of their projection one by
    one, and the backward pass then adds up three tensors that are mostly zeros.
    """

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        """Attend to all tokens.

        Args:
            x: (B, T, C).
            places: (B, t) long, the tokens that ask, none twice; all by default.

        Returns:
            (B, T, C), or (B, t, C).
        """
        if places is None:
            query, key, value = self._project(x, 0, 3)
        else:
            (query,) = self._project(take_tokens(x, places), 0, 1)
            key, value = self._project(x, 1, 3)
        dropout = self.attn_drop if self.training else 0.0
        out = self.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        out = self.proj(out.transpose(1, 2).flatten(2))
        return self.out_drop(self.gamma1(self.proj_drop(out)))

    def _project(self, x: Tensor, first: int, end: int) -> tuple[Tensor, ...]:
        """Those from ``first`` to ``end`` of queries, keys and values, (B, heads, T, C / heads)."""
        if end - first == 3:
            projected = self.qkv(x)
        else:
            part = slice(first * self.embed_dims, end * self.embed_dims)
            bias = None if self.qkv.bias is None else self.qkv.bias[part]
            projected = nn.functional.linear(x, self.qkv.weight[part], bias)
        parts = projected.unflatten(2, (end - first, self.num_heads, self.head_dims)).unbind(2)
        return tuple(part.transpose(1, 2) for part in parts)


class QueryLayer(TransformerEncoderLayer):
    """mmpretrain's pre-norm layer, for all tokens or for some of them.

    Args:
        *args, **kwargs: the parent's.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        speed_up_attention(self)

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        """What the parent gives for (B, T, C), or that at some places (B, t) alone: (B, t, C)."""
        if places is None:
            return super().forward(x)
        x = take_tokens(x, places) + self.attn(self.ln1(x), places)
        return self.ffn(self.ln2(x), identity=x)


def speed_up_attention(module: nn.Module) -> None:
    """Let every attention of mmpretrain below a module compute as :class:`QueryAttention`."""
    give_forms(module, {MultiheadAttention: QueryAttention})
