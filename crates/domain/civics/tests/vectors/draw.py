"""Makes draw.json: draws and commitments worked out apart from the crate, from the words of src/draw.rs alone.

Run: python3 draw.py > draw.json
"""
import hashlib
import json

P = 2**256 - 2**32 - 977  # the field of secp256k1


def frame(tag, fields):
    return b"".join(len(field).to_bytes(4, "little") + field for field in [tag.encode(), *fields])


def sha(data):
    return hashlib.sha256(data).digest()


def key(n):
    """The x of some point on the curve: the first one at or after a hash."""
    x = int.from_bytes(sha(b"arbitrator %d" % n), "big") % P
    while pow(x**3 + 7, (P - 1) // 2, P) != 1:
        x += 1
    return x.to_bytes(32, "big")


def draw(block_hash, dispute, round_, candidates, seats):
    row, order = list(candidates), []
    for i in range(min(len(row), seats * 4)):
        fields = [block_hash, dispute, round_.to_bytes(4, "little"), i.to_bytes(4, "little")]
        r = int.from_bytes(sha(frame("tallystick/draw/v1", fields))[:16], "big")
        r %= sum(weight for _, weight in row)
        for position, (name, weight) in enumerate(row):
            if r < weight:
                break
            r -= weight
        order.append(row.pop(position)[0])
    return order


def digest(candidates):
    body = len(candidates).to_bytes(4, "little")
    body += b"".join(name + weight.to_bytes(4, "little") for name, weight in candidates)
    return sha(frame("tallystick/candidates/v1", [body]))


def commitment(dispute, round_, arbitrator, mask, salt):
    fields = [dispute, round_.to_bytes(4, "little"), arbitrator, mask.to_bytes(8, "little"), salt]
    return sha(frame("tallystick/vote/v1", fields))


def dispute(n):
    body = bytearray(sha(b"dispute %d" % n)[:16])
    body[6] = body[6] & 0x0F | 0x70  # UUID version 7
    body[8] = body[8] & 0x3F | 0x80
    return bytes(body)


def main():
    draws = []
    cases = [(0, 1, 1), (1, 1, 1), (3, 3, 1), (12, 3, 1), (12, 3, 2), (40, 5, 1), (40, 7, 3), (40, 5, 1)]
    for n, (count, seats, round_) in enumerate(cases):
        # All of weight 1 in the last: each point of the row is somebody's end and somebody's beginning.
        last = n == len(cases) - 1
        candidates = sorted((key(i), 1 if last else 1 + (i * i * 37) % 1000) for i in range(count))
        block_hash = sha(b"block %d" % (n // 2))
        draws.append({
            "block_hash": block_hash.hex(),
            "dispute": dispute(n // 2).hex(),
            "round": round_,
            "seats": seats,
            "candidates": [[name.hex(), weight] for name, weight in candidates],
            "candidates_digest": digest(candidates).hex(),
            "order": [name.hex() for name in draw(block_hash, dispute(n // 2), round_, candidates, seats)],
        })
    votes = []
    for n, mask in enumerate([0, 1, 0b101, 2**64 - 1]):
        salt = sha(b"salt %d" % n)
        votes.append({
            "dispute": dispute(n).hex(),
            "round": n + 1,
            "arbitrator": key(n).hex(),
            "award": "%016x" % mask,
            "salt": salt.hex(),
            "commitment": commitment(dispute(n), n + 1, key(n), mask, salt).hex(),
        })
    print(json.dumps({"draws": draws, "votes": votes}, indent=1))


main()
