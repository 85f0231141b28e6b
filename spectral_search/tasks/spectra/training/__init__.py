"""What a fit is given of spectra: batches, frozen val spectra, preprocessing, inputs."""
