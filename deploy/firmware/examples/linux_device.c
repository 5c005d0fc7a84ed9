/*
 * A receiver that is a Linux process: it speaks the station link on stdin and stdout, on a pipe or
 * on a terminal line, and shows how firmware uses every part of stopover_link.h.
 *
 *     cc -std=c99 -I.. linux_device.c -o linux_device
 *     linux_device [interval in ms, default 1000] [boot count, default 1]
 *
 * It says HELLO, then one PACKET an interval and, among them, PULSES, STATUS, GPS and LOG. It
 * echoes TIME at once and keeps what it sent until an ACK allows to forget it. Commands:
 *
 *     ping     replies "ping ok"
 *     hello    says HELLO again
 *     resend   sends again whatever is not acknowledged, as it was: same seq, same uptime
 *     queued   replies how many frames that are
 *
 * It ends when stdin does.
 *
 * SPDX-License-Identifier: MIT
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../stopover_link.h"

#define KEPT_FRAMES 64
#define LARGEST_BODY 128

typedef struct {
    uint16_t seq;
    size_t length;
    uint8_t wire[STOPOVER_WIRE_BYTES(LARGEST_BODY)];
} kept_frame;

static stopover_link serial_link;
static kept_frame kept[KEPT_FRAMES];
static size_t kept_count;
static uint32_t dropped;
static uint32_t boot_count = 1;
static uint32_t packets;

static uint64_t uptime_us(void)
{
    static uint64_t start_us;
    struct timespec now;
    uint64_t now_us;
    clock_gettime(CLOCK_MONOTONIC, &now);
    now_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
    if (start_us == 0) {
        start_us = now_us;
    }
    return now_us - start_us;
}

static void write_all(const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, length);
        if (written < 0 && errno != EINTR && errno != EAGAIN) {
            exit(0); /* the host is gone */
        }
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

/* The next frame is written here, then sent and kept. When full, the oldest is dropped. */
static kept_frame *next_frame(void)
{
    if (kept_count == KEPT_FRAMES) {
        memmove(&kept[0], &kept[1], sizeof kept - sizeof kept[0]);
        kept_count--;
        dropped++;
    }
    kept[kept_count].seq = serial_link.seq;
    return &kept[kept_count];
}

static void send_frame(kept_frame *frame, size_t length)
{
    if (length > 0) {
        frame->length = length;
        kept_count++;
        write_all(frame->wire, length);
    }
}

static void forget_up_to(uint16_t acked_seq)
{
    size_t forgotten = 0;
    while (forgotten < kept_count && stopover_is_acked(kept[forgotten].seq, acked_seq)) {
        forgotten++;
    }
    memmove(&kept[0], &kept[forgotten], (kept_count - forgotten) * sizeof kept[0]);
    kept_count -= forgotten;
}

static void say_hello(void)
{
    static const stopover_hello_body fixed = {
        {0xDE, 0xAD, 0xBE, 0xEF, 0x00, 0x01, 0x02, 0x03}, {1, 2, 3}, 1, 0, 1, "linux-device"};
    stopover_hello_body body = fixed;
    kept_frame *frame = next_frame();
    body.boot_count = boot_count;
    send_frame(frame, stopover_hello(&serial_link, frame->wire, sizeof frame->wire, uptime_us(),
                                     &body));
}

static void say_packet(void)
{
    static const uint8_t tag[] = {0x78, 0x55, 0x4C, 0x33, 0x58};
    stopover_packet_body body;
    kept_frame *frame = next_frame();
    body.radio = 0;
    body.modulation = STOPOVER_CTT_FSK;
    body.frequency_hz = 434000000u;
    body.rssi_ddbm = -881;
    body.snr_ddb = 95;
    body.frequency_error_hz = -1200;
    body.bytes = tag;
    body.length = sizeof tag;
    packets++;
    send_frame(frame, stopover_packet(&serial_link, frame->wire, sizeof frame->wire, uptime_us(),
                                      &body));
}

static void say_pulses(void)
{
    static const stopover_pulse burst[] = {{349100u, 1250, -412, -690, 2500u},
                                           {190400u, 1245, -415, -691, 2510u},
                                           {34200u, 1255, -413, -689, 2490u},
                                           {0u, 1250, -411, STOPOVER_NO_I16, STOPOVER_NO_U16}};
    kept_frame *frame = next_frame();
    send_frame(frame, stopover_pulses(&serial_link, frame->wire, sizeof frame->wire, uptime_us(), 0,
                                      166380000u, burst, 4));
}

static void say_status(void)
{
    stopover_radio_reading radio;
    stopover_status_body body;
    kept_frame *frame = next_frame();
    radio.noise_ddbm = -1105;
    radio.packets = packets;
    body.battery_mv = 3912;
    body.solar_mv = STOPOVER_NO_U16;
    body.solar_ma = STOPOVER_NO_I16;
    body.temperature_cdeg = -525;
    body.dropped = dropped;
    body.queued = (uint16_t)kept_count;
    body.radios = &radio;
    body.radio_count = 1;
    send_frame(frame, stopover_status(&serial_link, frame->wire, sizeof frame->wire, uptime_us(),
                                      &body));
}

static void say_gps(void)
{
    stopover_gps_body body;
    kept_frame *frame = next_frame();
    body.unix_us = (int64_t)time(NULL) * 1000000;
    body.latitude_1e7 = 532530000;
    body.longitude_1e7 = 52210000;
    body.altitude_mm = 3500;
    body.fix = 3;
    body.satellites = 9;
    body.accuracy_mm = 2500;
    body.pps_uptime_us = 0;
    send_frame(frame, stopover_gps(&serial_link, frame->wire, sizeof frame->wire, uptime_us(),
                                   &body));
}

static void say_log(const char *message)
{
    kept_frame *frame = next_frame();
    send_frame(frame, stopover_log(&serial_link, frame->wire, sizeof frame->wire, uptime_us(), 6,
                                   message));
}

static void say_reply(const char *message)
{
    kept_frame *frame = next_frame();
    send_frame(frame, stopover_reply(&serial_link, frame->wire, sizeof frame->wire, uptime_us(),
                                     message));
}

static void obey(const char *command)
{
    char message[64];
    size_t i;
    if (strcmp(command, "ping") == 0) {
        say_reply("ping ok");
    } else if (strcmp(command, "hello") == 0) {
        say_hello();
    } else if (strcmp(command, "resend") == 0) {
        for (i = 0; i < kept_count; i++) {
            write_all(kept[i].wire, kept[i].length);
        }
    } else if (strcmp(command, "queued") == 0) {
        snprintf(message, sizeof message, "queued ok %u", (unsigned)kept_count);
        say_reply(message);
    } else {
        snprintf(message, sizeof message, "%.20s error no such command", command);
        say_reply(message);
    }
}

static void hear(const stopover_incoming *in)
{
    kept_frame *frame;
    switch (in->type) {
    case STOPOVER_TIME: /* first of all: every microsecond counts */
        frame = next_frame();
        send_frame(frame, stopover_time(&serial_link, frame->wire, sizeof frame->wire, uptime_us(),
                                        in->token));
        break;
    case STOPOVER_ACK:
        forget_up_to(in->acked_seq);
        break;
    case STOPOVER_COMMAND:
        obey(in->command);
        break;
    default:
        break;
    }
}

/* Wait for the host up to `wait_ms`; tell whether it is still there. */
static int listen_for(int wait_ms)
{
    static stopover_receiver receiver;
    stopover_incoming in;
    struct pollfd host = {STDIN_FILENO, POLLIN, 0};
    uint8_t bytes[64];
    ssize_t count;
    ssize_t i;
    if (poll(&host, 1, wait_ms) <= 0) {
        return 1;
    }
    count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count <= 0) {
        return count < 0 && errno == EINTR;
    }
    for (i = 0; i < count; i++) {
        if (stopover_receive(&receiver, bytes[i], &in) != 0) {
            hear(&in);
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    int interval_ms = argc > 1 ? atoi(argv[1]) : 1000;
    uint64_t next_us;
    uint64_t now_us;
    unsigned round;
    if (argc > 2) {
        boot_count = (uint32_t)strtoul(argv[2], NULL, 10);
    }
    if (isatty(STDIN_FILENO)) {
        struct termios raw;
        tcgetattr(STDIN_FILENO, &raw);
        cfmakeraw(&raw);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    next_us = uptime_us();
    say_hello();
    for (round = 0;; round++) {
        say_packet();
        switch (round % 4) {
        case 0:
            say_status();
            break;
        case 1:
            say_pulses();
            break;
        case 2:
            say_gps();
            break;
        default:
            say_log("listening");
            break;
        }
        next_us += (uint64_t)interval_ms * 1000u;
        for (now_us = uptime_us(); now_us < next_us; now_us = uptime_us()) {
            if (!listen_for((int)((next_us - now_us + 999u) / 1000u))) {
                return 0;
            }
        }
    }
}
