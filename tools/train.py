"""Train a model from a config file, on one device or many: pre-training, classification,
segmentation or detection, as the config says."""

import argparse

from localmim.engine.launch import (
    add_config_arguments,
    build_runner,
    load_config,
    parse_config_arguments,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python tools/train.py configs/localmim/"
        "localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py "
        "--cfg-options train_dataloader.dataset.data_root=/path/to/images",
    )
    add_config_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from a checkpoint as if never stopped; without a value, from the newest in the "
        "work dir that can be read",
    )
    parser.add_argument(
        "--amp",
        action="store_true",
        help="mixed precision: bfloat16 where the GPU has it, else float16",
    )
    return parse_config_arguments(parser)


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    if args.amp:
        cfg.optim_wrapper.type = "MixedPrecisionOptimWrapper"
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == "auto" else args.resume
    build_runner(cfg).train()


if __name__ == "__main__":
    main()
