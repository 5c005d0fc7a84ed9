/*
 * stopover_link.h: what a receiver's firmware says to Stopover, and what it hears back.
 *
 * One C99 header (also C++), no allocation, no floating point, no other file. It encodes HELLO,
 * PACKET, PULSES, STATUS, TIME, GPS, LOG and REPLY, and decodes ACK, TIME and COMMAND. It also
 * encodes ACK and COMMAND, so that a second device can play the host.
 *
 *     header  version u8 = 1 | type u8 | seq u16 | uptime_us u64      little-endian
 *     body    by type, drawn above each function
 *     crc     u16, CRC-16/IBM-3740 over header and body
 *
 * On a serial line a frame is COBS-encoded and ends with 00; over MQTT it is sent as it is, one
 * frame a message. README.md beside this file tells the rest.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STOPOVER_LINK_H
#define STOPOVER_LINK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STOPOVER_VERSION 1
#define STOPOVER_HEADER_BYTES 12
#define STOPOVER_FRAME_BYTES(body) (STOPOVER_HEADER_BYTES + (body) + 2)
/* A buffer of this size holds any frame with a body of `body` bytes, COBS and the final 00 too. */
#define STOPOVER_WIRE_BYTES(body) \
    (STOPOVER_FRAME_BYTES(body) + STOPOVER_FRAME_BYTES(body) / 254 + 2)

enum stopover_type {
    STOPOVER_HELLO = 0x01,
    STOPOVER_PACKET = 0x02,
    STOPOVER_PULSES = 0x03,
    STOPOVER_STATUS = 0x04,
    STOPOVER_TIME = 0x05,
    STOPOVER_GPS = 0x06,
    STOPOVER_LOG = 0x07,
    STOPOVER_ACK = 0x08,
    STOPOVER_COMMAND = 0x09,
    STOPOVER_REPLY = 0x0A
};

enum stopover_modulation {
    STOPOVER_CTT_FSK = 1,        /* CTT 2-FSK 25 kbit/s: bytes are what follows the sync word D391 */
    STOPOVER_LORA = 2,
    STOPOVER_BLE_ADVERTISEMENT = 3,
    STOPOVER_OTHER_FSK = 4,
    STOPOVER_OTHER_OOK = 5
};

/* What was not measured. */
#define STOPOVER_NO_U16 0xFFFFu
#define STOPOVER_NO_I16 0x7FFF
#define STOPOVER_NO_I32 0x7FFFFFFFL
#define STOPOVER_NO_U32 0xFFFFFFFFUL

/* A microsecond counter of 32 bits (Arduino's micros()) starts again after 71 minutes: this counts
 * on. Call it at least once an hour, and not from two interrupts at once. */
typedef struct {
    uint32_t last;
    uint32_t turns;
} stopover_uptime;

static inline uint64_t stopover_count_on(stopover_uptime *uptime, uint32_t now_us)
{
    if (now_us < uptime->last) {
        uptime->turns++;
    }
    uptime->last = now_us;
    return ((uint64_t)uptime->turns << 32) | now_us;
}

/* ---------------------------------------------------------------------------------------------
 * Writing. Every function below returns how many bytes it wrote to `out`, or 0 where they did not
 * fit or a length was over 255. `link->seq` counts by itself, but only the frames that fitted.
 */

enum stopover_wrapping {
    STOPOVER_SERIAL = 0,         /* COBS, ends with 00 */
    STOPOVER_MQTT = 1            /* as it is */
};

typedef struct {
    uint16_t seq;                /* of the next frame; begin with 0 at boot */
    enum stopover_wrapping wrapping;
} stopover_link;

typedef struct {
    uint8_t *out;
    size_t size;
    size_t length;
    size_t code_at;              /* where the COBS code byte of the present run stands */
    uint16_t crc;
    uint8_t overflow;
    uint8_t is_cobs;
} stopover_writer;

static inline uint16_t stopover_crc_byte(uint16_t crc, uint8_t byte)
{
    int bit;
    crc = (uint16_t)(crc ^ ((unsigned)byte << 8));
    for (bit = 0; bit < 8; bit++) {
        crc = (uint16_t)((crc & 0x8000u) ? ((unsigned)crc << 1) ^ 0x1021u : (unsigned)crc << 1);
    }
    return crc;
}

static inline void stopover_store(stopover_writer *w, uint8_t byte)
{
    if (w->length >= w->size) {
        w->overflow = 1;
        return;
    }
    w->out[w->length++] = byte;
}

static inline void stopover_close_run(stopover_writer *w)
{
    if (!w->overflow) {
        w->out[w->code_at] = (uint8_t)(w->length - w->code_at);
    }
}

static inline void stopover_open_run(stopover_writer *w)
{
    w->code_at = w->length;
    stopover_store(w, 0);
}

static inline void stopover_stuff(stopover_writer *w, uint8_t byte)
{
    if (!w->is_cobs) {
        stopover_store(w, byte);
        return;
    }
    if (w->length - w->code_at == 0xFF) {
        stopover_close_run(w);
        stopover_open_run(w);
    }
    if (byte == 0) {
        stopover_close_run(w);
        stopover_open_run(w);
    } else {
        stopover_store(w, byte);
    }
}

static inline void stopover_u8(stopover_writer *w, uint8_t value)
{
    w->crc = stopover_crc_byte(w->crc, value);
    stopover_stuff(w, value);
}

static inline void stopover_u16(stopover_writer *w, uint16_t value)
{
    stopover_u8(w, (uint8_t)(value & 0xFF));
    stopover_u8(w, (uint8_t)(value >> 8));
}

static inline void stopover_u32(stopover_writer *w, uint32_t value)
{
    stopover_u16(w, (uint16_t)(value & 0xFFFF));
    stopover_u16(w, (uint16_t)(value >> 16));
}

static inline void stopover_u64(stopover_writer *w, uint64_t value)
{
    stopover_u32(w, (uint32_t)(value & 0xFFFFFFFFu));
    stopover_u32(w, (uint32_t)(value >> 32));
}

static inline void stopover_bytes(stopover_writer *w, const void *bytes, size_t length)
{
    const uint8_t *at = (const uint8_t *)bytes;
    size_t i;
    for (i = 0; i < length; i++) {
        stopover_u8(w, at[i]);
    }
}

static inline size_t stopover_text_length(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0') {
        length++;
    }
    return length;
}

static inline stopover_writer stopover_begin(const stopover_link *link, uint8_t *out, size_t size,
                                             uint8_t type, uint64_t uptime_us)
{
    stopover_writer w;
    w.out = out;
    w.size = size;
    w.length = 0;
    w.code_at = 0;
    w.crc = 0xFFFF;
    w.overflow = 0;
    w.is_cobs = link->wrapping == STOPOVER_SERIAL;
    if (w.is_cobs) {
        stopover_open_run(&w);
    }
    stopover_u8(&w, STOPOVER_VERSION);
    stopover_u8(&w, type);
    stopover_u16(&w, link->seq);
    stopover_u64(&w, uptime_us);
    return w;
}

static inline size_t stopover_end(stopover_link *link, stopover_writer *w)
{
    stopover_u16(w, w->crc);     /* the argument is taken before the CRC runs on */
    if (w->is_cobs) {
        stopover_close_run(w);
        stopover_store(w, 0);
    }
    if (w->overflow) {
        return 0;
    }
    link->seq++;
    return w->length;
}

/* HELLO: uid 8 bytes | firmware major u8 minor u8 patch u8 | reset_cause u8 | boot_count u32 |
 *        radios u8 | name: u8 length + UTF-8
 * Send it at boot and whenever the host opens the link. */
typedef struct {
    uint8_t uid[8];
    uint8_t firmware[3];
    uint8_t reset_cause;
    uint32_t boot_count;
    uint8_t radios;
    const char *name;
} stopover_hello_body;

static inline size_t stopover_hello(stopover_link *link, uint8_t *out, size_t size,
                                    uint64_t uptime_us, const stopover_hello_body *body)
{
    stopover_writer w = stopover_begin(link, out, size, STOPOVER_HELLO, uptime_us);
    size_t name_length = stopover_text_length(body->name);
    if (name_length > 255) {
        return 0;
    }
    stopover_bytes(&w, body->uid, sizeof body->uid);
    stopover_bytes(&w, body->firmware, sizeof body->firmware);
    stopover_u8(&w, body->reset_cause);
    stopover_u32(&w, body->boot_count);
    stopover_u8(&w, body->radios);
    stopover_u8(&w, (uint8_t)name_length);
    stopover_bytes(&w, body->name, name_length);
    return stopover_end(link, &w);
}

/* PACKET: radio u8 | modulation u8 | frequency_hz u32 | rssi_ddbm i16 | snr_ddb i16 |
 *         frequency_error_hz i32 | length u8 | bytes
 * uptime_us is that of the packet's last bit. */
typedef struct {
    uint8_t radio;
    uint8_t modulation;          /* enum stopover_modulation */
    uint32_t frequency_hz;
    int16_t rssi_ddbm;           /* 0.1 dBm, STOPOVER_NO_I16 */
    int16_t snr_ddb;             /* 0.1 dB, STOPOVER_NO_I16 */
    int32_t frequency_error_hz;  /* STOPOVER_NO_I32 */
    const uint8_t *bytes;
    uint8_t length;
} stopover_packet_body;

static inline size_t stopover_packet(stopover_link *link, uint8_t *out, size_t size,
                                     uint64_t uptime_us, const stopover_packet_body *body)
{
    stopover_writer w = stopover_begin(link, out, size, STOPOVER_PACKET, uptime_us);
    stopover_u8(&w, body->radio);
    stopover_u8(&w, body->modulation);
    stopover_u32(&w, body->frequency_hz);
    stopover_u16(&w, (uint16_t)body->rssi_ddbm);
    stopover_u16(&w, (uint16_t)body->snr_ddb);
    stopover_u32(&w, (uint32_t)body->frequency_error_hz);
    stopover_u8(&w, body->length);
    stopover_bytes(&w, body->bytes, body->length);
    return stopover_end(link, &w);
}

/* PULSES: radio u8 | frequency_hz u32 | count u8 |
 *         count x ( age_us u32 | offset_hz i32 | signal_ddb i16 | noise_ddb i16 | width_us u16 )
 * Oldest first; age is before uptime_us. */
typedef struct {
    uint32_t age_us;
    int32_t offset_hz;
    int16_t signal_ddb;          /* 0.1 dB */
    int16_t noise_ddb;           /* STOPOVER_NO_I16 */
    uint16_t width_us;           /* STOPOVER_NO_U16 */
} stopover_pulse;

static inline size_t stopover_pulses(stopover_link *link, uint8_t *out, size_t size,
                                     uint64_t uptime_us, uint8_t radio, uint32_t frequency_hz,
                                     const stopover_pulse *pulses, uint8_t count)
{
    stopover_writer w = stopover_begin(link, out, size, STOPOVER_PULSES, uptime_us);
    uint8_t i;
    stopover_u8(&w, radio);
    stopover_u32(&w, frequency_hz);
    stopover_u8(&w, count);
    for (i = 0; i < count; i++) {
        stopover_u32(&w, pulses[i].age_us);
        stopover_u32(&w, (uint32_t)pulses[i].offset_hz);
        stopover_u16(&w, (uint16_t)pulses[i].signal_ddb);
        stopover_u16(&w, (uint16_t)pulses[i].noise_ddb);
        stopover_u16(&w, pulses[i].width_us);
    }
    return stopover_end(link, &w);
}

/* STATUS: battery_mv u16 | solar_mv u16 | solar_ma i16 | temperature_cdeg i16 | dropped u32 |
 *         queued u16 | radios u8 x ( noise_ddbm i16 | packets u32 ) */
typedef struct {
    int16_t noise_ddbm;          /* 0.1 dBm, STOPOVER_NO_I16 */
    uint32_t packets;            /* heard since boot */
} stopover_radio_reading;

typedef struct {
    uint16_t battery_mv;         /* STOPOVER_NO_U16 */
    uint16_t solar_mv;           /* STOPOVER_NO_U16 */
    int16_t solar_ma;            /* STOPOVER_NO_I16 */
    int16_t temperature_cdeg;    /* 0.01 degree C, STOPOVER_NO_I16 */
    uint32_t dropped;            /* frames since boot that the buffer had no room for */
    uint16_t queued;             /* frames that wait */
    const stopover_radio_reading *radios;
    uint8_t radio_count;
} stopover_status_body;

static inline size_t stopover_status(stopover_link *link, uint8_t *out, size_t size,
                                     uint64_t uptime_us, const stopover_status_body *body)
{
    stopover_writer w = stopover_begin(link, out, size, STOPOVER_STATUS, uptime_us);
    uint8_t i;
    stopover_u16(&w, body->battery_mv);
    stopover_u16(&w, body->solar_mv);
    stopover_u16(&w, (uint16_t)body->solar_ma);
    stopover_u16(&w, (uint16_t)body->temperature_cdeg);
    stopover_u32(&w, body->dropped);
    stopover_u16(&w, body->queued);
    stopover_u8(&w, body->radio_count);
    for (i = 0; i < body->radio_count; i++) {
        stopover_u16(&w, (uint16_t)body->radios[i].noise_ddbm);
        stopover_u32(&w, body->radios[i].packets);
    }
    return stopover_end(link, &w);
}

/* TIME: token u64
 * Echo the host's token as soon as it comes: uptime_us is now. */
static inline size_t stopover_time(stopover_link *link, uint8_t *out, size_t size,
                                   uint64_t uptime_us, uint64_t token)
{
    stopover_writer w = stopover_begin(link, out, size, STOPOVER_TIME, uptime_us);
    stopover_u64(&w, token);
    return stopover_end(link, &w);
}

/* GPS: unix_us i64 | latitude_1e7 i32 | longitude_1e7 i32 | altitude_mm i32 | fix u8 |
 *      satellites u8 | accuracy_mm u32 | pps_uptime_us u64
 * uptime_us is that of the fix. */
typedef struct {
    int64_t unix_us;             /* 0 unknown */
    int32_t latitude_1e7;
    int32_t longitude_1e7;
    int32_t altitude_mm;         /* STOPOVER_NO_I32 */
    uint8_t fix;                 /* 0 or 1 none, 2 two-dimensional, 3 three-dimensional */
    uint8_t satellites;
    uint32_t accuracy_mm;        /* STOPOVER_NO_U32 */
    uint64_t pps_uptime_us;      /* of the last pulse per second, 0 none */
} stopover_gps_body;

static inline size_t stopover_gps(stopover_link *link, uint8_t *out, size_t size,
                                  uint64_t uptime_us, const stopover_gps_body *body)
{
    stopover_writer w = stopover_begin(link, out, size, STOPOVER_GPS, uptime_us);
    stopover_u64(&w, (uint64_t)body->unix_us);
    stopover_u32(&w, (uint32_t)body->latitude_1e7);
    stopover_u32(&w, (uint32_t)body->longitude_1e7);
    stopover_u32(&w, (uint32_t)body->altitude_mm);
    stopover_u8(&w, body->fix);
    stopover_u8(&w, body->satellites);
    stopover_u32(&w, body->accuracy_mm);
    stopover_u64(&w, body->pps_uptime_us);
    return stopover_end(link, &w);
}

/* LOG: level u8 | UTF-8
 * Levels are syslog's: 3 error, 4 warning, 6 info, 7 debug. */
static inline size_t stopover_log(stopover_link *link, uint8_t *out, size_t size,
                                  uint64_t uptime_us, uint8_t level, const char *text)
{
    stopover_writer w = stopover_begin(link, out, size, STOPOVER_LOG, uptime_us);
    stopover_u8(&w, level);
    stopover_bytes(&w, text, stopover_text_length(text));
    return stopover_end(link, &w);
}

/* REPLY: UTF-8: the command's first word, "ok" or "error", then a message. */
static inline size_t stopover_reply(stopover_link *link, uint8_t *out, size_t size,
                                    uint64_t uptime_us, const char *text)
{
    stopover_writer w = stopover_begin(link, out, size, STOPOVER_REPLY, uptime_us);
    stopover_bytes(&w, text, stopover_text_length(text));
    return stopover_end(link, &w);
}

/* ACK: seq u16 (host to receiver). */
static inline size_t stopover_ack(stopover_link *link, uint8_t *out, size_t size,
                                  uint64_t uptime_us, uint16_t seq)
{
    stopover_writer w = stopover_begin(link, out, size, STOPOVER_ACK, uptime_us);
    stopover_u16(&w, seq);
    return stopover_end(link, &w);
}

/* COMMAND: UTF-8 (host to receiver). */
static inline size_t stopover_command(stopover_link *link, uint8_t *out, size_t size,
                                      uint64_t uptime_us, const char *text)
{
    stopover_writer w = stopover_begin(link, out, size, STOPOVER_COMMAND, uptime_us);
    stopover_bytes(&w, text, stopover_text_length(text));
    return stopover_end(link, &w);
}

/* ---------------------------------------------------------------------------------------------
 * Reading. Feed each byte from the serial line; a frame that is damaged, too long or not for a
 * receiver is passed over.
 */

#ifndef STOPOVER_COMMAND_MAX
#define STOPOVER_COMMAND_MAX 128 /* bytes of the longest command that is taken */
#endif

typedef struct {
    uint8_t frame[STOPOVER_FRAME_BYTES(STOPOVER_COMMAND_MAX)];
    size_t length;
    uint8_t run;                 /* bytes left in the present COBS run */
    uint8_t code;                /* code byte of the present run, 0 before the first */
    uint8_t is_broken;
} stopover_receiver;

typedef struct {
    uint8_t type;                /* STOPOVER_ACK, STOPOVER_TIME, STOPOVER_COMMAND, or 0: nothing */
    uint16_t acked_seq;          /* ACK: frames up to here may be forgotten */
    uint64_t token;              /* TIME: to be echoed */
    char command[STOPOVER_COMMAND_MAX + 1]; /* COMMAND: UTF-8, ends with 00 */
} stopover_incoming;

static inline void stopover_receiver_reset(stopover_receiver *r)
{
    r->length = 0;
    r->run = 0;
    r->code = 0;
    r->is_broken = 0;
}

static inline uint64_t stopover_read(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0) {
        value = (value << 8) | at[bytes];
    }
    return value;
}

/* Tell whether `seq` is acknowledged by an ACK that names `acked_seq`, across the step from 65535
 * to 0. */
static inline int stopover_is_acked(uint16_t seq, uint16_t acked_seq)
{
    return (uint16_t)(acked_seq - seq) < 0x8000u;
}

/* Read one frame without COBS, as MQTT brings it. Returns its type, or 0 where it is none of ours. */
static inline uint8_t stopover_read_frame(const uint8_t *frame, size_t length,
                                          stopover_incoming *in)
{
    const uint8_t *body = frame + STOPOVER_HEADER_BYTES;
    uint16_t crc = 0xFFFF;
    size_t body_length;
    size_t i;
    in->type = 0;
    if (length < STOPOVER_FRAME_BYTES(0) || frame[0] != STOPOVER_VERSION) {
        return 0;
    }
    body_length = length - STOPOVER_FRAME_BYTES(0);
    for (i = 0; i < length - 2; i++) {
        crc = stopover_crc_byte(crc, frame[i]);
    }
    if (crc != (uint16_t)stopover_read(frame + length - 2, 2)) {
        return 0;
    }
    if (frame[1] == STOPOVER_ACK && body_length >= 2) {
        in->acked_seq = (uint16_t)stopover_read(body, 2);
    } else if (frame[1] == STOPOVER_TIME && body_length >= 8) {
        in->token = stopover_read(body, 8);
    } else if (frame[1] == STOPOVER_COMMAND && body_length <= STOPOVER_COMMAND_MAX) {
        for (i = 0; i < body_length; i++) {
            in->command[i] = (char)body[i];
        }
        in->command[body_length] = '\0';
    } else {
        return 0;
    }
    in->type = frame[1];
    return in->type;
}

static inline void stopover_keep(stopover_receiver *r, uint8_t byte)
{
    if (r->length < sizeof r->frame) {
        r->frame[r->length++] = byte;
    } else {
        r->is_broken = 1;
    }
}

/* Take one byte of the serial line. Returns the type of the frame that it completes, or 0. */
static inline uint8_t stopover_receive(stopover_receiver *r, uint8_t byte, stopover_incoming *in)
{
    if (byte == 0) {
        size_t length = r->length;
        int is_whole = !r->is_broken && r->run == 0 && length > 0;
        stopover_receiver_reset(r);
        return is_whole ? stopover_read_frame(r->frame, length, in) : 0;
    }
    if (r->run == 0) {
        if (r->code != 0 && r->code != 0xFF) {
            stopover_keep(r, 0);
        }
        r->code = byte;
        r->run = (uint8_t)(byte - 1);
    } else {
        stopover_keep(r, byte);
        r->run--;
    }
    return 0;
}

#ifdef __cplusplus
}
#endif

#endif /* STOPOVER_LINK_H */
