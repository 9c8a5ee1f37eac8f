#!/bin/sh
# make-clip.sh makes clip.ts, the picture and tone that `sluice demo` sends.
#
# Usage: ./make-clip.sh [OUTPUT]      needs ffmpeg (libx264, drawtext) and fonts-dejavu-core
#
# The clip loops without a seam, so every number below has its reason:
#
#   9.6 s   = 240 frames at 25 fps = 450 AAC frames of 1024 samples at 48 kHz = 9600 periods of the tone.
#   Audio   is encoded three times as long and cut out of the middle: the first frames of an
#           AAC encoder hold its priming, and a decoder overlaps each frame with the one before.
#   Video   has no B frames, one IDR picture a second (the last after 15 frames) and a buffer of 250 ms.
#   Tables  at least every 120 ms, a PCR with every picture, 200 ms between PCR and DTS.
#   One audio frame a PES packet, so that every round has the same layout.
set -eu

out=${1:-$(dirname "$0")/clip.ts}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fonts=/usr/share/fonts/truetype/dejavu
seconds=9.6

ffmpeg -v warning -y -f lavfi -i "sine=frequency=1000:sample_rate=48000:duration=30" \
	-af "volume=-2dB,aformat=channel_layouts=mono,pan=stereo|c0=c0|c1=c0" -c:a aac -b:a 96k -f adts "$tmp/long.aac"
# sine has a peak of 1/8 (-18 dB); with -2 dB the tone peaks at -20 dB full scale.
ffmpeg -v warning -y -i "$tmp/long.aac" -c copy -ss 9.6 -frames:a 450 -f adts "$tmp/tone.aac"

# The picture: colour bars; a panel with the name, the clock and a drop that leaps along the
# waves. All of it but the clock repeats within 9.6 s.
ffmpeg -v warning -y \
	-f lavfi -i "smptehdbars=size=640x360:rate=25:duration=$seconds" \
	-f lavfi -i "color=0x0b1d2e:size=440x180:rate=25:duration=$seconds" \
	-f lavfi -i "color=black:size=22x22:rate=25:duration=$seconds" \
	-filter_complex "
	[1:v]format=yuv444p,geq=
		lum='if(lt(Y,128+7*sin(2*PI*(X/110-T/1.2))+4*sin(2*PI*(X/55+T/2.4))),28+Y/14,if(lt(Y,150+6*sin(2*PI*(X/88+T/1.6))),96,64))':
		cb='if(lt(Y,128+7*sin(2*PI*(X/110-T/1.2))+4*sin(2*PI*(X/55+T/2.4))),138,if(lt(Y,150+6*sin(2*PI*(X/88+T/1.6))),166,160))':
		cr='if(lt(Y,128+7*sin(2*PI*(X/110-T/1.2))+4*sin(2*PI*(X/55+T/2.4))),120,if(lt(Y,150+6*sin(2*PI*(X/88+T/1.6))),92,100))',
	drawtext=fontfile=$fonts/DejaVuSans-Bold.ttf:text=sluice:fontsize=54:fontcolor=white:x=24:y=14,
	drawtext=fontfile=$fonts/DejaVuSans.ttf:text='demo channel':fontsize=16:fontcolor=0x9fd3f0:x=28:y=78,
	drawtext=fontfile=$fonts/DejaVuSansMono-Bold.ttf:text='%{eif\\:floor(t)\\:d\\:2}.%{eif\\:floor(mod(t*100\\,100))\\:d\\:2}':fontsize=46:fontcolor=0xffd166:x=w-tw-26:y=18,
	drawtext=fontfile=$fonts/DejaVuSansMono.ttf:text='frame %{frame_num} of 240':start_number=1:fontsize=16:fontcolor=0x9fd3f0:x=w-tw-28:y=78[panel];
	[2:v]format=yuva444p,geq=lum=225:cb=128:cr=128:a='255*clip(10.5-hypot(X-10.5,Y-10.5),0,1)'[drop];
	[panel][drop]overlay=x='9+400*(0.5-0.5*cos(2*PI*t/4.8))':y='118-22*abs(sin(2*PI*t/2.4))':eval=frame[moving];
	[0:v][moving]overlay=x=100:y=66,format=yuv420p[v]" \
	-map "[v]" -frames:v 240 -c:v libx264 -preset veryslow -profile:v main -level 3.0 \
	-x264-params "keyint=25:min-keyint=25:scenecut=0:bframes=0:open-gop=0:threads=1" \
	-b:v 680k -maxrate 680k -bufsize 170k "$tmp/picture.nut"

ffmpeg -v warning -y -i "$tmp/picture.nut" -i "$tmp/tone.aac" -map 0:v -map 1:a -c copy \
	-fflags +bitexact -f mpegts -mpegts_service_type digital_tv \
	-metadata service_name="sluice demo" -metadata service_provider="sluice" \
	-pat_period 0.1 -sdt_period 0.5 -pcr_period 20 -pes_payload_size 0 -muxdelay 0.2 -muxpreload 0.2 "$out"

ls -l "$out"
