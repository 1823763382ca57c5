"""Copy ten real photographs that scikit-learn and scikit-image bundle into a folder."""

import argparse

from localmim.data.photographs import OF_THINGS, gather_photographs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out_dir", help="folder for the copies, made if need be")
    args = parser.parse_args()
    try:
        copies = gather_photographs(args.out_dir, OF_THINGS)
    except FileNotFoundError as error:
        parser.error(str(error))
    print(f"{len(copies)} photographs in {args.out_dir}")


if __name__ == "__main__":
    main()
