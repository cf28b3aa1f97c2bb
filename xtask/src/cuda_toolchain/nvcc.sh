#!/bin/sh
# nvcc, except that of the package candle-kernels the kernels of language models (mixtures of experts, quantized weights)
# are left out: no network of images uses them, and they take more than half of the build and of the program.
# CANDLE_KERNELS_FULL=1 builds them too.
bin=$(dirname "$0")
if [ "$CARGO_PKG_NAME" = candle-kernels ] && [ "${CANDLE_KERNELS_FULL:-0}" = 0 ]; then
    object='' folder='' last=''
    for word in "$@"; do
        case $last in
        -o) object=$word ;;
        --output-directory) folder=$word ;;
        esac
        last=$word
    done
    # The source comes last.
    case $last in
    */moe/*.cu | */mmq_gguf/*.cu | */mmvq_gguf.cu)
        [ -n "$object" ] && exec cp "$bin/../left-out/functions.o" "$object"
        ;;
    */quantized.cu)
        [ -n "$folder" ] && exec cp "$bin/../left-out/quantized.ptx" "$folder/quantized.ptx"
        ;;
    esac
fi
exec "$bin/nvcc-real" "$@"
