"""data/report.html: what a package holds, for people, in Chinese and English. Never evidence, and it says so first.

Rules:
- One page without scripts, pictures or addresses: it opens anywhere, prints, and asks nothing of a network.
- Everything that comes from a line is escaped. What is proved and what is not stands in plain words.
- Written by the exporting server from the same lines; who doubts it runs the verifier.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from agent.core import note

from .claims import Track
from .excerpt import Stretch
from .gather import Found
from .text import plain, span, utc

STYLE = """
:root { --ink: #1d2733; --soft: #5b6878; --line: #d5dbe3; --pale: #f4f6f9; --accent: #1f5fa8 }
* { box-sizing: border-box }
body { font: 15px/1.55 system-ui, "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; color: var(--ink);
  max-width: 60rem; margin: 2rem auto; padding: 0 1.2rem }
h1 { font-size: 1.5rem; margin: 0 0 .2rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; color: var(--accent) }
small, .soft { color: var(--soft) } code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere }
.first { border-left: 4px solid var(--accent); background: var(--pale); padding: .8rem 1rem; margin: 1.2rem 0 }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600; color: var(--soft) } th.n, td.n { text-align: right; font-variant-numeric: tabular-nums }
ul { padding-left: 1.2rem } li { margin: .25rem 0 }
@media print { body { margin: 0; max-width: none; font-size: 11pt } h2 { break-after: avoid } tr, li { break-inside: avoid } }
"""

MOST_COLUMNS = 8

PROVED = (
    ("画面、声音和每条记录自设备签名后未被改动", "Picture, sound and every line are as the device signed them"),
    (
        "自服务器附签之时起，任何人（包括持有设备或密钥者）都不能再改动",
        "Since the cosignature nobody, not even the device's holder, could change them",
    ),
    ("录制不早于、不晚于上列两个时刻", "The recording lies between the two times that are given above"),
    (
        "录制中没有未说明的缺失；缺失处均由设备自己记录",
        "Nothing is missing without being stated; what is missing was recorded by the device itself",
    ),
    (
        "导出之前的每次查看、播放、导出均已列明，无一遗漏",
        "Every view, playback and export up to this one is listed, and none can be left out",
    ),
)
NOT_PROVED = (
    ("画面中的事情是否真实发生（例如对着屏幕拍摄）", "That the scene was real (a camera can be pointed at a screen)"),
    (
        "附签之前的时段：持有设备及其密钥的人当时可以写入别的内容",
        "The time before the cosignature: whoever held the device and its key could then have written something else",
    ),
    ("画面上烧录的时间是否准确：以上下限为准", "That the time burnt into the picture is right: the bounds are what counts"),
    ("本页内容：本页仅供阅读，不受签名保护", "This page: it is for reading and no signature covers it"),
)
KINDS = {
    "start": "开始 started",
    "stored": "入库 stored",
    "view": "查看 viewed",
    "play": "播放 played",
    "search": "检索 found by a search",
    "export": "导出 exported",
    "share": "移交 shared",
    "hold": "保全 held",
    "release": "解除保全 released",
    "dispose": "处置 disposed of",
    "assign": "归属 assigned",
}


@dataclass(frozen=True)
class Subject:
    """What the page is about: the recording, what is held of it, its custody, the stretch, the time of the beacon's anchor."""

    found: Found
    tracks: list[Track]
    custody: list[dict[str, Any]]
    stretch: Stretch | None
    not_before: int | None


def page(subject: Subject) -> str:
    """The page."""
    title = f"证据包说明 · Hand-over package {subject.found.recording}"
    body = [_head(subject), _what(subject), _times(subject), _tracks(subject), _events(subject), _custody(subject), _proofs()]
    return (
        f'<!doctype html>\n<html lang="zh-CN">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{_text(title)}</title>\n'
        f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</html>\n"
    )


def _text(value: object) -> str:
    return escape(plain(str(value)))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: Collection[int] = ()) -> str:
    """A table; the columns in `numbers` stand to the right."""
    kinds = [' class="n"' if i in numbers else "" for i in range(MOST_COLUMNS)]
    cells = "".join(f"<th{kind}>{h}</th>" for h, kind in zip(head, kinds, strict=False))
    top = [f"<table><tr>{cells}</tr>"] if cells else ["<table>"]
    body = ["".join(f"<td{kind}>{c}</td>" for c, kind in zip(row, kinds, strict=False)) for row in rows]
    return "\n".join([*top, *(f"<tr>{row}</tr>" for row in body), "</table>"])


def _head(subject: Subject) -> str:
    part = "全部 · the whole recording"
    if subject.stretch is not None:
        part = f"节选 · an excerpt: {span(subject.stretch.first_ms)} – {span(subject.stretch.end_ms)}"
    return (
        f"<h1>证据包说明 <small>What is in this package</small></h1><p>{_text(part)}</p>"
        '<div class="first"><b>本页仅供阅读，不是证据。</b> This page is for reading and is not evidence.<br>'
        "请用自己从主管机关取得的公钥核验：Verify with keys that you got from the agency itself:<br>"
        "<code>python3 verify.pyz . --key keys-from-the-agency.txt</code></div>"
    )


def _what(subject: Subject) -> str:
    found = subject.found
    m = found.start.members
    rows = [
        ("录制 Recording", f"<code>{_text(found.recording)}</code>"),
        ("设备 Device", f"{_text(found.device)} <code>{_text(found.origin)}</code>"),
        ("执法人员 Officer", _text(m["officer"] or "–")),
        ("案件 Case", _text(m["case"] or "–")),
        ("事项 Matter", _text(m["matter"] or "–")),
        ("启动方式 Begun by", _text(m["trigger"])),
    ]
    if m.get("continues"):
        rows.append(("接续 Continues", f"<code>{_text(m['continues'])}</code>"))
    return "<h2>录制 Recording</h2>" + _table((), rows)


def _times(subject: Subject) -> str:
    found = subject.found
    stops = found.of("stop")
    clocks = [row.members for row in [*found.governing, *found.rows] if row.members["kind"] == "clock"]
    rows = [
        ("不早于 Not before", _text(utc(subject.not_before)) if subject.not_before is not None else "未知 unknown"),
        ("不晚于 Not after", ", ".join(f"{_text(name)}: {_text(utc(seconds * 1000 + 999))}" for name, seconds in _cosigned(found)) or "–"),
        ("设备时钟：开始 Device clock: start", _text(utc(found.start.members["at"]))),
        ("设备时钟：结束 Device clock: stop", _text(utc(stops[0]["at"])) if stops else "无结束记录 no stop line"),
    ]
    rows += [
        ("时钟状况 Clock", f"{_text(c['source'])}: 偏差 offset {_text(c['offset'])} ms, 误差 error {_text(c['error'])} ms")
        for c in clocks
        if c["source"] != "none"
    ]
    return "<h2>时间 Time</h2>" + _table((), rows)


def _cosigned(found: Found) -> list[tuple[str, int]]:
    """Who says that it cosigned when; cosignatures have 8 bytes of time and 64 of signature."""
    signatures = note.split(found.checkpoint)[1]
    return [(name, int.from_bytes(signature[:8], "big")) for name, _, signature in signatures if len(signature) == 72]


def _tracks(subject: Subject) -> str:
    held = {t.name: sum(end - first for first, end in t.held) for t in subject.tracks}
    rows, fragments = [], subject.found.fragments()
    for track in subject.found.of("track"):
        named = fragments.get(track["track"], [])
        size = f"{track['width']} × {track['height']}" if "width" in track and "height" in track else "–"
        rows.append(
            (
                _text(track["track"]),
                f"{_text(track['media'])}<br><small>{_text(track['codecs'])}</small>",
                _text(size),
                f"{held.get(track['track'], 0)} / {len(named)}",
                str(sum(m["bytes"] for m in named)),
                _text(span(sum(m["duration"] for m in named))),
            )
        )
    head = ("轨道 Track", "格式 Format", "尺寸 Size", "片段 Fragments 有/应有 held/named", "字节 Bytes", "时长 Length")
    return "<h2>轨道 Tracks</h2>" + _table(head, rows, (3, 4, 5))


def _events(subject: Subject) -> str:
    found, rows = subject.found, []
    epoch = found.start.members["epoch"]
    for m in sorted(found.of("mark") + found.of("pause") + found.of("resume"), key=lambda m: int(m["up"])):
        name = {"mark": "重点标记 mark", "pause": "暂停 pause", "resume": "继续 resume"}[m["kind"]]
        rows.append((_text(span(m["up"] - epoch)), name, _text(m.get("label") or m.get("reason") or "")))
    rows += [(_text(span(m["from"])), "缺失 gap", _text(f"{m['track']}: {m['lost']} ms, {m['reason']}")) for m in found.of("gap")]
    if not rows:
        return "<h2>标记与缺失 Marks and gaps</h2><p>无 none</p>"
    return "<h2>标记与缺失 Marks and gaps</h2>" + _table(("媒体时间 Media time", "事项 What", ""), rows)


def _custody(subject: Subject) -> str:
    rows = [
        (
            str(m["c"]),
            _text(utc(m["at"])),
            KINDS.get(m["kind"], _text(m["kind"])),
            _text(m.get("by") or "–"),
            _text(m.get("reason") or ""),
        )
        for m in subject.custody
    ]
    return "<h2>保管链 Custody</h2>" + _table(("", "时间 Time", "事项 What", "何人 Who", "原因 Reason"), rows, (0,))


def _proofs() -> str:
    def items(pairs: Iterable[tuple[str, str]]) -> str:
        return "<ul>" + "".join(f'<li>{_text(zh)}<br><span class="soft">{_text(en)}</span></li>' for zh, en in pairs) + "</ul>"

    return (
        "<h2>核验结果为“完整”（intact）时所证明的 What the verdict “intact” proves</h2>"
        + items(PROVED)
        + "<h2>不能证明的 What it does not prove</h2>"
        + items(NOT_PROVED)
    )
