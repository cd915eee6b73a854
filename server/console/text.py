"""What the console says, in English and Chinese: one literal table, one row a sentence.

A template asks for `t.name`; both languages must have every name (a test holds that). Field terms are the same words as in
code, topics and tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

LANGUAGES = ("en", "zh")

_ROWS: tuple[tuple[str, str, str], ...] = (
    # name, English, 中文
    ("html_lang", "en", "zh-CN"),
    ("other_lang", "zh", "en"),
    ("other_html_lang", "zh-CN", "en"),
    ("other_language", "中文", "English"),
    ("zhilu", "Zhilu 执录", "执录"),
    ("zhilu_console", "Zhilu", "执法全过程记录"),
    ("at_a_glance", "At a glance", "总览"),
    ("glance_says", "What needs a person now, and what has arrived and is proved.", "需要处理的事项，以及已送达并可证明的记录。"),
    ("recordings", "Recordings", "音像记录"),
    (
        "recordings_say",
        "Newest first. Green: every fragment is held and the device has its receipt.",
        "按时间倒序。绿色：全部片段已入库，设备已取得回执。",
    ),
    ("recording", "Recording", "记录"),
    ("newest_recordings", "Newest recordings", "最新记录"),
    ("devices", "Devices", "设备"),
    ("devices_say", "What each device has promised, and what it still holds alone.", "每台设备已签署的内容，以及仍只存于设备上的内容。"),
    ("device", "Device", "设备"),
    ("ledger", "Ledger", "账本"),
    (
        "ledger_says",
        "The server's own signed log. What stands in it can't be taken out, by us either.",
        "服务器自身的签名日志。写入之后任何人（包括我们）都无法删除。",
    ),
    ("newest_checkpoint", "Newest checkpoint", "最新检查点"),
    ("newest_lines", "Newest lines", "最新条目"),
    ("keys", "Keys to check with", "验证用公钥"),
    (
        "keys_say",
        "Whoever checks a package should have these from the agency itself, not from the package.",
        "验证者应直接向本机关索取这些公钥，而非取自证据包。",
    ),
    ("index", "Index", "序号"),
    ("time", "Time", "时间"),
    ("kind", "Kind", "类型"),
    ("what", "What", "内容"),
    ("state", "State", "状态"),
    ("state_recording", "recording", "正在记录"),
    ("state_uploading", "arriving", "上传中"),
    ("state_stored", "stored", "已入库"),
    ("state_incomplete", "incomplete", "不完整"),
    ("state_ready", "ready", "待命"),
    ("state_alarm", "alarm", "告警"),
    ("state_offline", "not connected", "未连接"),
    ("recording_now", "recording now", "台正在记录"),
    ("devices_silent", "devices not connected", "台设备未连接"),
    ("recordings_waiting", "recordings not whole yet", "条记录尚未完整送达"),
    ("recordings_stored", "recordings stored with receipt", "条记录已入库并有回执"),
    ("forks", "contradicting journals", "条矛盾日志"),
    ("battery", "Battery", "电量"),
    ("still_on_device", "Still on the device alone", "仅存于设备"),
    ("nothing_waits", "nothing", "无"),
    ("lines", "lines", "条"),
    ("journal", "Journal", "日志"),
    ("journal_lines", "Journal lines", "日志条数"),
    ("last_receipt", "Last receipt", "最近回执"),
    ("public_key", "Public key", "公钥"),
    ("alarms", "Alarms", "告警"),
    ("charging", "charging", "充电中"),
    ("free_space", "Free space", "剩余空间"),
    ("free_memory", "Free memory", "剩余内存"),
    ("temperature", "Temperature", "温度"),
    ("clock", "Clock", "时钟"),
    ("clock_of", "set by {source}, known to {error} ms", "来源 {source}，误差不超过 {error} 毫秒"),
    ("clock_of_none", "nobody says how right it is", "无法确认是否准确"),
    ("satellites", "Satellites", "卫星定位"),
    ("yes", "yes", "有"),
    ("no", "no", "无"),
    ("heard_at", "These figures are of", "以上数据时间"),
    ("software", "Software", "软件"),
    ("never", "never", "从未"),
    ("begun", "Begun", "开始时间"),
    ("officer", "Officer", "执法人员"),
    ("case", "Case", "案件"),
    ("matter", "Matter", "执法事项"),
    ("length", "Length", "时长"),
    ("marks_and_gaps", "Marks and gaps", "标记与缺失"),
    ("mark", "mark", "重点标记"),
    ("gap", "gap", "缺失"),
    ("one_gap", "gap", "处缺失"),
    ("gaps", "gaps", "处缺失"),
    ("arrived", "Arrived", "已送达"),
    ("fragments", "fragments", "个片段"),
    ("held", "held and proved", "已入库"),
    ("not_arrived", "not arrived yet", "未送达"),
    ("before_press", "before the press", "按键前"),
    ("started_by", "Started by", "启动方式"),
    ("trigger_button", "button", "按键"),
    ("trigger_remote", "order from the server", "远程指令"),
    ("trigger_resume", "resumed after a power cut", "断电后恢复"),
    ("trigger_signal", "signal", "信号"),
    ("stored_since", "Stored since", "入库时间"),
    ("not_yet", "not yet", "尚未"),
    ("none_yet", "none yet", "暂无"),
    ("facts", "Facts", "基本信息"),
    ("position", "Way", "行进路线"),
    ("no_position", "No position was recorded.", "未记录位置。"),
    ("what_happened", "What happened", "过程"),
    ("event_start", "recording begins", "开始记录"),
    ("event_stop", "recording ends", "结束记录"),
    ("event_still", "still", "拍照"),
    ("timeline", "Timeline", "时间轴"),
    ("hand_over", "Hand over", "移交"),
    (
        "package_says",
        "The exact signed lines, the media and the proofs, with a program that checks them anywhere.",
        "包含原始签名条目、音像数据与证明，并附可随处运行的验证程序。",
    ),
    ("download_package", "Download package", "下载证据包"),
    ("excerpt", "Excerpt", "节选"),
    ("from_s", "from second", "起（秒）"),
    ("to_s", "to second", "止（秒）"),
    ("download_excerpt", "Download excerpt", "下载节选"),
    ("to_check", "Anyone can check it, without us:", "任何人都可自行验证："),
    ("custody", "Custody", "保管记录"),
    ("custody_start", "begun", "开始"),
    ("custody_stored", "stored, receipt signed", "入库，已签回执"),
    ("custody_view", "looked at", "查看"),
    ("custody_play", "played", "播放"),
    ("custody_export", "handed over", "移交"),
    ("older", "Older", "更早"),
    ("no_devices", "No device is enrolled yet.", "尚无已登记设备。"),
    ("no_recordings", "Nothing has been recorded yet. Press the button.", "尚无记录。请按下记录键。"),
    ("looking_is_recorded", "Looking at a recording is itself recorded in the ledger.", "查看记录的行为本身也会写入账本。"),
    ("not_found", "Not found", "未找到"),
    ("refused", "That did not work", "未能完成"),
    ("back", "Back", "返回"),
)


class Text:
    """The sentences of one language: `t.name` in templates, `t["state_" + …]` for names that come from data.

    No dict: a sentence may be called `keys` or `items`, and a template must get the sentence.
    """

    def __init__(self, sentences: Mapping[str, str]) -> None:
        self._sentences = dict(sentences)

    def __getattr__(self, name: str) -> str:
        try:
            return self._sentences[name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, name: str) -> str:
        return self._sentences[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sentences)

    def say(self, name: str, otherwise: str) -> str:
        """The sentence, or `otherwise` where there is none: for words that others may add."""
        return self._sentences.get(name, otherwise)


TEXT: dict[str, Text] = {language: Text({name: row[column] for name, *row in _ROWS}) for column, language in enumerate(LANGUAGES)}
"""language → sentences."""


def of(language: str | None) -> Text:
    """The sentences of a language; English for one that we do not speak."""
    return TEXT.get(language or "", TEXT["en"])
