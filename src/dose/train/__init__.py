"""Training one model: `fit` needs torch, numpy and safetensors, and knows neither ray nor mlflow."""
