from json import dumps


def clean(text: str, upper: bool = False) -> str:
    return text.upper() if upper else dumps(text)


async def both(*, left: int, right: int) -> int:
    return left + right
