"""A byte-level BPE vocabulary learned from the training documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers
from torch import Tensor

from drex_runtime.demo.corpus import Document
from drex_runtime.model.tokenizer import Tokenizer

END_OF_TEXT = "<|endoftext|>"


def learn_vocabulary(documents: Sequence[Document], size: int) -> str:
    """Text of a tokenizer.json with `size` ids, all 256 bytes and END_OF_TEXT (id 0) among them."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator((document.text for document in documents), trainer)
    return inner.to_str(pretty=False)


def token_stream(documents: Iterable[Document], tokenizer: Tokenizer) -> Tensor:
    """All documents as one int64 stream, each followed by END_OF_TEXT."""
    end = tokenizer.token_id(END_OF_TEXT)
    ids: list[int] = []
    for document in documents:
        ids.extend(tokenizer.encode(document.text))
        if end is not None:
            ids.append(end)
    return torch.tensor(ids, dtype=torch.int64)
