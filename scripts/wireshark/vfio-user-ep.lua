-- SPDX-License-Identifier: GPL-2.0-or-later
--
-- A dissector of Wireshark for vfio-user with the extension of this project.
-- docs/system/timeline.rst says how to use it. The layouts are those of
-- include/hw/pci-ep/vfio-user-proto.h, docs/specs/pci-ep-link.rst explains them.
--
-- A packet is one message. It may have been cut: what is missing is not decoded,
-- and only what the message itself lacks is marked as malformed. A reply finds
-- its command by interface, command and id, since no command is sent by both
-- sides.

local proto = Proto("vfio_user_ep", "vfio-user with the pci-ep extension")

local CAPTURE_ONLY = "the rest of the message was not captured"

-- ---- Names ----

local CLIENT, SERVER = "host", "endpoint"

local VERSION, DMA_MAP, DMA_UNMAP, GET_INFO = 1, 2, 3, 4
local GET_REGION_INFO, GET_REGION_IO_FDS, GET_IRQ_INFO = 5, 6, 7
local SET_IRQS, REGION_READ, REGION_WRITE = 8, 9, 10
local DMA_READ, DMA_WRITE, DEVICE_RESET = 11, 12, 13
local REGION_WRITE_MULTI = 15
local EP_LINK, EP_RESET, EP_REMAP = 0x4500, 0x4501, 0x4502
local EP_INTX, EP_AREAS, EP_FAULT = 0x4503, 0x4504, 0x4505

local command_names = {
    [VERSION] = "VERSION", [DMA_MAP] = "DMA_MAP", [DMA_UNMAP] = "DMA_UNMAP",
    [GET_INFO] = "GET_INFO", [GET_REGION_INFO] = "GET_REGION_INFO",
    [GET_REGION_IO_FDS] = "GET_REGION_IO_FDS",
    [GET_IRQ_INFO] = "GET_IRQ_INFO", [SET_IRQS] = "SET_IRQS",
    [REGION_READ] = "REGION_READ", [REGION_WRITE] = "REGION_WRITE",
    [DMA_READ] = "DMA_READ", [DMA_WRITE] = "DMA_WRITE",
    [DEVICE_RESET] = "DEVICE_RESET",
    [REGION_WRITE_MULTI] = "REGION_WRITE_MULTI", [EP_LINK] = "EP_LINK",
    [EP_RESET] = "EP_RESET", [EP_REMAP] = "EP_REMAP", [EP_INTX] = "EP_INTX",
    [EP_AREAS] = "EP_AREAS", [EP_FAULT] = "EP_FAULT",
}

-- The commands that the server sends; the client sends all others.
local by_server = {
    [DMA_READ] = true, [DMA_WRITE] = true, [EP_LINK] = true,
    [EP_REMAP] = true, [EP_INTX] = true, [EP_FAULT] = true,
}

local type_names = { [0] = "command", [1] = "reply" }

local region_names = {
    [0] = "BAR0", [1] = "BAR1", [2] = "BAR2", [3] = "BAR3", [4] = "BAR4",
    [5] = "BAR5", [6] = "ROM", [7] = "config", [8] = "VGA",
}

local irq_names = {
    [0] = "INTx", [1] = "MSI", [2] = "MSI-X", [3] = "ERR", [4] = "REQ",
}

local link_names = { [0] = "down", [1] = "up" }
local reset_names = { [1] = "hot", [2] = "PERST", [3] = "FLR" }
local io_fd_names = { [0] = "ioeventfd", [2] = "shadow" }

-- Those that this project sends
local error_names = {
    [1] = "EPERM", [2] = "ENOENT", [5] = "EIO", [7] = "E2BIG",
    [12] = "ENOMEM", [13] = "EACCES", [14] = "EFAULT", [16] = "EBUSY",
    [19] = "ENODEV", [22] = "EINVAL", [28] = "ENOSPC", [38] = "ENOSYS",
    [95] = "EOPNOTSUPP", [107] = "ENOTCONN", [110] = "ETIMEDOUT",
    [116] = "ESTALE",
}

-- ---- Fields ----

local f = {}

local function add_field(name, kind, ...)
    f[name] = ProtoField[kind]("vfio_user_ep." .. name, ...)
end

add_field("id", "uint16", "Id", base.DEC)
add_field("command", "uint16", "Command", base.HEX, command_names)
add_field("size", "uint32", "Size of the message", base.DEC)
add_field("flags", "uint32", "Flags", base.HEX)
add_field("type", "uint32", "Type", base.DEC, type_names, 0xf)
add_field("no_reply", "bool", "No reply", 32, nil, 0x10)
add_field("error_flag", "bool", "Error", 32, nil, 0x20)
add_field("error", "uint32", "Error number", base.DEC, error_names)
add_field("reply_in", "framenum", "Reply in", base.NONE,
          frametype.RESPONSE)
add_field("reply_to", "framenum", "Reply to", base.NONE, frametype.REQUEST)
add_field("reply_time", "relative_time", "Time since the command")
add_field("sender", "string", "Sender")

add_field("major", "uint16", "Major version", base.DEC)
add_field("minor", "uint16", "Minor version", base.DEC)
add_field("json", "string", "JSON")

add_field("argsz", "uint32", "Size of the structure", base.DEC)
add_field("generation", "uint32", "Generation", base.DEC)
add_field("reserved", "uint32", "Reserved", base.HEX)
add_field("address", "uint64", "Address", base.HEX)
add_field("length", "uint64", "Size", base.HEX)
add_field("offset", "uint64", "Offset", base.HEX)
add_field("count", "uint64", "Count", base.DEC)
add_field("data", "bytes", "Data")

add_field("dma.flags", "uint32", "Flags", base.HEX)
add_field("dma.read", "bool", "Read", 32, nil, 0x1)
add_field("dma.write", "bool", "Write", 32, nil, 0x2)
add_field("dma.mmap", "bool", "Map the descriptor", 32, nil, 0x4)
add_field("unmap.flags", "uint32", "Flags", base.HEX)
add_field("unmap.all", "bool", "All", 32, nil, 0x2)

add_field("info.flags", "uint32", "Flags", base.HEX)
add_field("info.reset", "bool", "Can be reset", 32, nil, 0x1)
add_field("info.pci", "bool", "PCI", 32, nil, 0x2)
add_field("info.regions", "uint32", "Regions", base.DEC)
add_field("info.irqs", "uint32", "Kinds of interrupts", base.DEC)

add_field("region", "uint32", "Region", base.DEC, region_names)
add_field("region.flags", "uint32", "Flags", base.HEX)
add_field("region.read", "bool", "Read", 32, nil, 0x1)
add_field("region.write", "bool", "Write", 32, nil, 0x2)
add_field("region.mmap", "bool", "Can be mapped", 32, nil, 0x4)
add_field("region.caps", "bool", "Has capabilities", 32, nil, 0x8)
add_field("region.cap_offset", "uint32", "Offset of capabilities", base.HEX)

add_field("fd_index", "uint32", "Index of the descriptor", base.DEC)
add_field("fd_offset", "uint64", "Offset in the file", base.HEX)
add_field("io_fd.type", "uint32", "Kind", base.DEC, io_fd_names)
add_field("io_fd.shadow", "uint32", "Index of the file with the value",
          base.DEC)
add_field("io_fd.shadow_offset", "uint64", "Offset of the value", base.HEX)
add_field("io_fd.datamatch", "uint64", "Value that signals", base.HEX)

add_field("irq", "uint32", "Kind of interrupt", base.DEC, irq_names)
add_field("irq.flags", "uint32", "Flags", base.HEX)
add_field("irq.eventfd", "bool", "Takes eventfds", 32, nil, 0x1)
add_field("irq.maskable", "bool", "Maskable", 32, nil, 0x2)
add_field("irq.automasked", "bool", "Masks itself", 32, nil, 0x4)
add_field("irqs.flags", "uint32", "Flags", base.HEX)
add_field("irqs.none", "bool", "No data", 32, nil, 0x1)
add_field("irqs.bool", "bool", "Data: bytes", 32, nil, 0x2)
add_field("irqs.eventfd", "bool", "Data: eventfds", 32, nil, 0x4)
add_field("irqs.mask", "bool", "Mask", 32, nil, 0x8)
add_field("irqs.unmask", "bool", "Unmask", 32, nil, 0x10)
add_field("irqs.trigger", "bool", "Trigger", 32, nil, 0x20)
add_field("irqs.start", "uint32", "First vector", base.DEC)

add_field("link.state", "uint32", "Link", base.DEC, link_names)
add_field("link.speed", "uint16", "Speed", base.DEC)
add_field("link.width", "uint16", "Lanes", base.DEC)
add_field("link.functions", "uint32", "Functions", base.HEX)
add_field("reset.kind", "uint32", "Reset", base.DEC, reset_names)
add_field("intx.level", "uint32", "Level", base.DEC)
add_field("fault.write", "uint32", "Write", base.DEC)

local all_fields = {}
for _, field in pairs(f) do
    all_fields[#all_fields + 1] = field
end
proto.fields = all_fields

local e = {
    malformed = ProtoExpert.new("vfio_user_ep.malformed", "Malformed message",
                                expert.group.MALFORMED, expert.severity.ERROR),
    cut = ProtoExpert.new("vfio_user_ep.cut", "Message was cut",
                          expert.group.UNDECODED, expert.severity.NOTE),
    refused = ProtoExpert.new("vfio_user_ep.refused", "Error reply",
                              expert.group.RESPONSE_CODE,
                              expert.severity.WARN),
    unknown = ProtoExpert.new("vfio_user_ep.unknown", "Unknown command",
                              expert.group.UNDECODED, expert.severity.WARN),
    unanswered = ProtoExpert.new("vfio_user_ep.no_command",
                                 "Reply without a command",
                                 expert.group.SEQUENCE, expert.severity.NOTE),
}
proto.experts = { e.malformed, e.cut, e.refused, e.unknown, e.unanswered }

-- ---- Layouts ----

-- A layout is a list of members: name of the field, its bytes, and then names of
-- the fields that are bits of it.
local layouts = {
    version = { { "major", 2 }, { "minor", 2 } },
    dma_map = {
        { "argsz", 4 }, { "dma.flags", 4, "dma.read", "dma.write",
                          "dma.mmap" },
        { "fd_offset", 8 }, { "address", 8 }, { "length", 8 },
    },
    dma_unmap = {
        { "argsz", 4 }, { "unmap.flags", 4, "unmap.all" }, { "address", 8 },
        { "length", 8 },
    },
    info = {
        { "argsz", 4 }, { "info.flags", 4, "info.reset", "info.pci" },
        { "info.regions", 4 }, { "info.irqs", 4 },
    },
    region_info = {
        { "argsz", 4 },
        { "region.flags", 4, "region.read", "region.write", "region.mmap",
          "region.caps" },
        { "region", 4 }, { "region.cap_offset", 4 }, { "length", 8 },
        { "fd_offset", 8 },
    },
    region_io_fds = {
        { "argsz", 4 }, { "reserved", 4 }, { "region", 4 }, { "count", 4 },
    },
    region_io_fd = {
        { "offset", 8 }, { "length", 8 }, { "fd_index", 4 },
        { "io_fd.type", 4 }, { "reserved", 4 }, { "io_fd.shadow", 4 },
        { "io_fd.shadow_offset", 8 }, { "io_fd.datamatch", 8 },
    },
    irq_info = {
        { "argsz", 4 },
        { "irq.flags", 4, "irq.eventfd", "irq.maskable", "irq.automasked" },
        { "irq", 4 }, { "count", 4 },
    },
    set_irqs = {
        { "argsz", 4 },
        { "irqs.flags", 4, "irqs.none", "irqs.bool", "irqs.eventfd",
          "irqs.mask", "irqs.unmask", "irqs.trigger" },
        { "irq", 4 }, { "irqs.start", 4 }, { "count", 4 },
    },
    region_rw = { { "offset", 8 }, { "region", 4 }, { "count", 4 } },
    region_writes = { { "count", 8 } },
    region_write = {
        { "offset", 8 }, { "region", 4 }, { "count", 4 }, { "data", 8 },
    },
    dma_rw = { { "address", 8 }, { "count", 8 } },
    link = {
        { "argsz", 4 }, { "generation", 4 }, { "link.state", 4 },
        { "link.speed", 2 }, { "link.width", 2 }, { "link.functions", 4 },
        { "reserved", 4 },
    },
    reset = {
        { "argsz", 4 }, { "generation", 4 }, { "reset.kind", 4 },
        { "reserved", 4 },
    },
    remap = {
        { "argsz", 4 }, { "generation", 4 }, { "region", 4 },
        { "reserved", 4 },
    },
    intx = {
        { "argsz", 4 }, { "generation", 4 }, { "intx.level", 4 },
        { "reserved", 4 },
    },
    areas = {
        { "argsz", 4 }, { "generation", 4 }, { "region", 4 }, { "count", 4 },
    },
    area = {
        { "offset", 8 }, { "length", 8 }, { "fd_offset", 8 },
        { "fd_index", 4 },
        { "region.flags", 4, "region.read", "region.write" },
    },
    fault = {
        { "argsz", 4 }, { "generation", 4 }, { "address", 8 },
        { "fault.write", 4 }, { "reserved", 4 },
    },
}

-- What a message has: a layout, and what follows it ("data" bytes, "json", or
-- elements of another layout). A command without one has no payload.
local command_payloads = {
    [VERSION] = { "version", json = true },
    [DMA_MAP] = { "dma_map" }, [DMA_UNMAP] = { "dma_unmap" },
    [GET_INFO] = { "info" }, [GET_REGION_INFO] = { "region_info" },
    [GET_REGION_IO_FDS] = { "region_io_fds" }, [GET_IRQ_INFO] = { "irq_info" },
    [SET_IRQS] = { "set_irqs", data = true }, [REGION_READ] = { "region_rw" },
    [REGION_WRITE] = { "region_rw", data = true }, [DMA_READ] = { "dma_rw" },
    [DMA_WRITE] = { "dma_rw", data = true }, [DEVICE_RESET] = {},
    [REGION_WRITE_MULTI] = { "region_writes", each = "region_write" },
    [EP_LINK] = { "link" }, [EP_RESET] = { "reset" }, [EP_REMAP] = { "remap" },
    [EP_INTX] = { "intx" }, [EP_AREAS] = { "areas" }, [EP_FAULT] = { "fault" },
}

local reply_payloads = {
    [VERSION] = { "version", json = true }, [DMA_MAP] = {},
    [DMA_UNMAP] = { "dma_unmap" }, [GET_INFO] = { "info" },
    [GET_REGION_INFO] = { "region_info", data = true },
    [GET_REGION_IO_FDS] = { "region_io_fds", each = "region_io_fd" },
    [GET_IRQ_INFO] = { "irq_info" }, [SET_IRQS] = {},
    [REGION_READ] = { "region_rw", data = true },
    [REGION_WRITE] = { "region_rw" }, [DMA_READ] = { "dma_rw", data = true },
    [DMA_WRITE] = { "dma_rw" }, [DEVICE_RESET] = {},
    [REGION_WRITE_MULTI] = { "region_writes" }, [EP_LINK] = {},
    [EP_RESET] = {}, [EP_REMAP] = {}, [EP_INTX] = {},
    [EP_AREAS] = { "areas", each = "area" }, [EP_FAULT] = {},
}

local function layout_size(layout)
    local size = 0
    for _, member in ipairs(layout) do
        size = size + member[2]
    end
    return size
end

-- ---- Bytes that are there ----

-- A message: what was captured, its tree, and why decoding has stopped
local Message = {}
Message.__index = Message

-- Whether that many bytes from @offset on can be read; if not, says why not.
function Message:has(offset, length)
    if self.stopped then
        return false
    elseif offset + length <= self.tvb:len() then
        return true
    elseif offset + length > self.size then
        self.stopped = true
        self.tree:add_proto_expert_info(
            e.malformed, "the message ends within a structure")
    else
        self.stopped = true
        self.tree:add_proto_expert_info(e.cut, CAPTURE_ONLY)
    end
    return false
end

-- Adds the members of a layout. Returns the offset behind them.
function Message:layout(tree, name, offset)
    for _, member in ipairs(layouts[name]) do
        local field, length = member[1], member[2]
        if not self:has(offset, length) then
            return offset
        end
        local item = tree:add_le(f[field], self.tvb(offset, length))
        for i = 3, #member do
            item:add_le(f[member[i]], self.tvb(offset, length))
        end
        offset = offset + length
    end
    return offset
end

function Message:elements(name, offset)
    local length, number = layout_size(layouts[name]), 0
    while offset < self.size and self:has(offset, length) do
        local part = self.tree:add(self.tvb(offset, length),
                                   name .. " " .. number)
        offset = self:layout(part, name, offset)
        number = number + 1
    end
end

-- Bytes up to the end of the message, as far as they were captured
function Message:data(offset)
    local there = math.min(self.size, self.tvb:len()) - offset
    if offset >= self.size then
        return
    end
    if there > 0 then
        self.tree:add(f.data, self.tvb(offset, there))
    end
    self:has(offset, self.size - offset)
end

function Message:json(offset)
    local length = self.size - offset
    if length <= 0 or not self:has(offset, length) then
        return
    end
    if self.tvb(offset + length - 1, 1):uint() ~= 0 then
        self.stopped = true
        self.tree:add_proto_expert_info(e.malformed,
                                        "the JSON has no NUL at its end")
        return
    end
    self.tree:add(f.json, self.tvb(offset, length - 1))
    if length > 1 then
        Dissector.get("json"):call(self.tvb(offset, length - 1):tvb(),
                                   self.pinfo, self.tree)
    end
end

function Message:payload(kind)
    local offset = 16
    if kind[1] then
        offset = self:layout(self.tree, kind[1], offset)
    end
    if self.stopped then
        return
    elseif kind.json then
        self:json(offset)
    elseif kind.data then
        self:data(offset)
    elseif kind.each then
        self:elements(kind.each, offset)
    elseif offset < self.size then
        self.tree:add_proto_expert_info(
            e.malformed, "the message is longer than its structure")
    end
end

-- ---- Commands and their replies ----

local interface_of = Field.new("frame.interface_id")

-- Of the first pass: the last command with each key, and per frame the partner
local pending, partner = {}, {}

function proto.init()
    pending, partner = {}, {}
end

local function find_partner(pinfo, id, command, is_reply, no_reply)
    if pinfo.visited then
        return partner[pinfo.number]
    end
    local interface = interface_of()
    local key = string.format("%s %d %d", interface and interface.value or 0,
                              command, id)
    local frame = { number = pinfo.number, time = pinfo.abs_ts }
    if is_reply then
        local asked = pending[key]
        if asked then
            partner[pinfo.number] = asked
            partner[asked.number] = frame
            pending[key] = nil
        end
    elseif not no_reply then
        pending[key] = frame
    end
    return partner[pinfo.number]
end

local function add_partner(tree, pinfo, other, is_reply)
    if not is_reply then
        if other then
            tree:add(f.reply_in, other.number):set_generated()
        end
    elseif other then
        local seconds = pinfo.abs_ts - other.time
        tree:add(f.reply_to, other.number):set_generated()
        tree:add(f.reply_time, NSTime.new(
            math.floor(seconds),
            math.floor(seconds % 1 * 1000000000))):set_generated()
    else
        tree:add_proto_expert_info(e.unanswered)
    end
end

-- ---- One line ----

local function hex_of(range)
    return "0x" .. range:le_uint64():tohex():gsub("^0+(%x)", "%1")
end

local function name_of(names, value)
    return names[value] or tostring(value)
end

-- What the list of packets says of the payload; @at is where it begins.
local function detail(message, command)
    local tvb, at = message.tvb, 16
    local function there(n) return tvb:len() >= at + n end
    if (command == REGION_READ or command == REGION_WRITE) and there(16) then
        return string.format(" %s %s len %d",
                             name_of(region_names, tvb(at + 8, 4):le_uint()),
                             hex_of(tvb(at, 8)),
                             tvb(at + 12, 4):le_uint())
    elseif command == REGION_WRITE_MULTI and there(8) then
        return string.format(" %s writes",
                             tostring(tvb(at, 8):le_uint64()))
    elseif (command == DMA_READ or command == DMA_WRITE) and there(16) then
        return string.format(" %s len %s", hex_of(tvb(at, 8)),
                             tostring(tvb(at + 8, 8):le_uint64()))
    elseif command == DMA_MAP and there(32) then
        return string.format(" %s size %s", hex_of(tvb(at + 16, 8)),
                             hex_of(tvb(at + 24, 8)))
    elseif command == DMA_UNMAP and there(24) then
        return string.format(" %s size %s", hex_of(tvb(at + 8, 8)),
                             hex_of(tvb(at + 16, 8)))
    elseif command == EP_LINK and there(12) then
        return string.format(" %s generation %d",
                             name_of(link_names, tvb(at + 8, 4):le_uint()),
                             tvb(at + 4, 4):le_uint())
    elseif command == EP_RESET and there(12) then
        return " " .. name_of(reset_names, tvb(at + 8, 4):le_uint())
    elseif command == EP_INTX and there(12) then
        return string.format(" level %d", tvb(at + 8, 4):le_uint())
    elseif command == EP_FAULT and there(16) then
        return " " .. hex_of(tvb(at + 8, 8))
    elseif (command == EP_REMAP or command == EP_AREAS or
            command == GET_REGION_INFO or command == GET_REGION_IO_FDS) and
           there(12) then
        return " " .. name_of(region_names, tvb(at + 8, 4):le_uint())
    elseif command == SET_IRQS and there(20) then
        return string.format(" %s first %d count %d",
                             name_of(irq_names, tvb(at + 8, 4):le_uint()),
                             tvb(at + 12, 4):le_uint(),
                             tvb(at + 16, 4):le_uint())
    end
    return ""
end

-- ---- The dissector ----

local function add_header(tree, tvb)
    tree:add_le(f.id, tvb(0, 2))
    tree:add_le(f.command, tvb(2, 2))
    tree:add_le(f.size, tvb(4, 4))
    local flags = tree:add_le(f.flags, tvb(8, 4))
    flags:add_le(f.type, tvb(8, 4))
    flags:add_le(f.no_reply, tvb(8, 4))
    flags:add_le(f.error_flag, tvb(8, 4))
    tree:add_le(f.error, tvb(12, 4))
end

local function show(pinfo, message, command, is_reply, failed)
    local name = name_of(command_names, command)
    local by = by_server[command] and SERVER or CLIENT
    local other = by == SERVER and CLIENT or SERVER
    local sender = is_reply and other or by
    local text = name .. (is_reply and " reply" or "")
    if failed then
        text = text .. " error " ..
               name_of(error_names, message.tvb(12, 4):le_uint())
    else
        text = text .. detail(message, command)
    end
    pinfo.cols.protocol = "vfio-user"
    pinfo.cols.src = sender
    pinfo.cols.dst = sender == SERVER and CLIENT or SERVER
    pinfo.cols.info = text
    message.tree:append_text(", " .. text)
    message.tree:add(f.sender, sender):set_generated()
end

function proto.dissector(tvb, pinfo, root)
    local tree = root:add(proto, tvb())
    local message = setmetatable({
        tvb = tvb, pinfo = pinfo, tree = tree, size = tvb:reported_len(),
    }, Message)
    pinfo.cols.protocol = "vfio-user"
    pinfo.cols.info = "malformed message"
    if not message:has(0, 16) then
        return tvb:len()
    end
    add_header(tree, tvb)

    local id, command = tvb(0, 2):le_uint(), tvb(2, 2):le_uint()
    local size, flags = tvb(4, 4):le_uint(), tvb(8, 4):le_uint()
    local kind = flags % 16
    local no_reply = math.floor(flags / 16) % 2 == 1
    local is_reply, failed = kind == 1, math.floor(flags / 32) % 2 == 1

    if kind > 1 or size < 16 or size ~= tvb:reported_len() then
        tree:add_proto_expert_info(e.malformed, kind > 1 and
                                   "neither a command nor a reply" or
                                   "the size is not that of the message")
        return tvb:len()
    end
    add_partner(tree, pinfo,
                find_partner(pinfo, id, command, is_reply, no_reply), is_reply)

    local payloads = is_reply and reply_payloads or command_payloads
    if not payloads[command] then
        tree:add_proto_expert_info(e.unknown)
        message:data(16)
    elseif is_reply and failed then
        tree:add_proto_expert_info(e.refused, "the command failed: " ..
            name_of(error_names, tvb(12, 4):le_uint()))
        message:payload({})
    else
        message:payload(payloads[command])
    end
    show(pinfo, message, command, is_reply, is_reply and failed)
    return tvb:len()
end
