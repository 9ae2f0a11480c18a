"""The numbers of Whisper's audio front end (Radford et al., 2022, section 2.2)."""

SAMPLE_RATE = 16000
N_FFT = 400  # samples in a Fourier transform: 25 ms
HOP_LENGTH = 160  # samples from one frame to the next: 10 ms
CHUNK_LENGTH = 30  # seconds in a window
N_SAMPLES = CHUNK_LENGTH * SAMPLE_RATE
N_FRAMES = N_SAMPLES // HOP_LENGTH
FRAMES_PER_SECOND = SAMPLE_RATE // HOP_LENGTH
FRAMES_PER_POSITION = 2  # the encoder's second convolution halves the rate
SECONDS_PER_POSITION = FRAMES_PER_POSITION / FRAMES_PER_SECOND
