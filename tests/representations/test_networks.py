"""Networks answer what others' builds of them answer, at the layers the thesis names."""

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from thesislib.errors import ParameterError, WeightsError
from thesislib.representations.networks import (
    build_network,
    describe_layers,
    identify_weights,
    input_convention,
    input_size,
    layer_widths,
)
from thesislib.representations.torchvision_guard import torchvision


@pytest.fixture
def images(rng):
    return torch.from_numpy(rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def alexnet():
    return build_network("alexnet", weights="random")


def answer(network, images, *layers):
    with torch.inference_mode():
        found = network.activations(images, layers)
    return found if len(layers) > 1 else found[layers[0]]


@pytest.mark.parametrize(
    ("name", "file", "layer", "key"),
    [
        ("googlenet-bvlc", "googlenet_bvlc", "pool", "googlenet_bvlc_pool"),
        ("googlenet-bvlc", "googlenet_bvlc", "logits", "googlenet_bvlc_logits"),
        ("squeezenet1_1", "squeezenet1_1", "logits", "squeezenet1_1_logits"),
    ],
)
def test_trained_networks_answer_the_reference(reference_data, name, file, layer, key):
    folder = reference_data / "weights"
    network = build_network(name, weights=folder / f"{file}.safetensors")
    with np.load(folder / "reference.npz", allow_pickle=False) as reference:
        found = answer(network, torch.from_numpy(reference["images"]), layer)
        np.testing.assert_allclose(found, reference[key], rtol=0, atol=1e-4)


def test_the_imagenet_file_is_found_in_the_weights_folder(reference_data, monkeypatch):
    monkeypatch.setenv("THESIS_WEIGHTS", str(reference_data / "weights"))
    network = build_network("squeezenet1_1")
    path = reference_data / "weights" / "squeezenet1_1.safetensors"
    assert network.weights_id == identify_weights("squeezenet1_1", path)
    assert len(network.weights_id) == 64


@pytest.mark.parametrize("name", ["googlenet", "shufflenet_v2_x0_5", "densenet121"])
def test_a_torch_file_gives_what_torchvision_gives(tmp_path, images, name):
    settings = {"init_weights": False, "transform_input": True} if name == "googlenet" else {}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = torchvision.models.get_model(name, weights=None, **settings).eval()
        with torch.no_grad():
            for module in model.modules():  # so that a lost buffer shows
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.uniform_(-0.1, 0.1)
                    module.running_var.uniform_(0.5, 1.5)
    state = model.state_dict()
    if name == "densenet121":  # as its file was written in 2017
        state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
        for layer in ("norm1", "norm2", "conv1", "conv2"):
            state = {
                k.replace(f".{layer}.", f".{layer[:-1]}.{layer[-1]}."): v for k, v in state.items()
            }
    assert name != "googlenet" or any(key.startswith("aux1.") for key in state)
    torch.save(state, tmp_path / "net.pth")
    network = build_network(name, weights=tmp_path / "net.pth")
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.inference_mode():
        expected = model(normalise(images.permute(0, 3, 1, 2) / 255))
    scale = expected.abs().max().item()
    np.testing.assert_allclose(answer(network, images, "logits"), expected, atol=1e-5 * scale)


def test_fully_connected_layers_are_those_after_the_rectifier(alexnet, images):
    found = answer(alexnet, images, "fc6", "fc7", "penultimate", "logits")
    linear7, linear8 = alexnet.model.classifier[4], alexnet.model.classifier[6]
    with torch.inference_mode():
        torch.testing.assert_close(found["fc7"], linear7(found["fc6"]).relu())
        torch.testing.assert_close(found["logits"], linear8(found["fc7"]))
    assert found["fc6"].min() == 0 and torch.equal(found["fc7"], found["penultimate"])


def test_vgg_and_googlenet_name_their_layers():
    for name in ("vgg16", "vgg19", "vgg16_bn", "alexnet"):
        assert layer_widths(name, ("fc6", "fc7", "penultimate"), 64, 64) == (4096, 4096, 4096)
    for name in ("googlenet", "googlenet-bvlc"):
        assert layer_widths(name, ("pool", "penultimate", "logits"), 64, 64) == (1024, 1024, 1000)
    assert layer_widths("resnet50", ("avgpool", "layer1.0.conv1"), 64, 64) == (2048, 64 * 16 * 16)


def test_pool_is_the_average_before_the_classifier(images):
    network = build_network("googlenet-bvlc", weights="random")
    found = answer(network, images, "pool", "logits", "inception_5b/pool_proj")
    classifier = network.model._modules["loss3/classifier"]
    with torch.inference_mode():
        torch.testing.assert_close(found["logits"], classifier(found["pool"]))
    # The projection's maps are the last 128 of the 1024, before their rectifier and average.
    maps = found["inception_5b/pool_proj"].reshape(2, 128, -1).relu().mean(2)
    torch.testing.assert_close(found["pool"][:, -128:], maps)


def test_a_layer_before_a_rectifier_in_place_keeps_its_negative_values(alexnet, images):
    layers = ("features.0", "features.1", "classifier.1", "fc6")
    found = answer(alexnet, images, *layers)
    for before, after in (layers[:2], layers[2:]):
        assert found[before].min() < 0
        assert torch.equal(found[before].relu(), found[after])


def test_unknown_layers_are_answered_with_the_known_ones(alexnet):
    with pytest.raises(ParameterError, match=r"found 'fc8' \(did you mean 'fc7'"):
        alexnet.check_layers(["fc8"])
    with pytest.raises(ParameterError, match=r"layer4.*did you mean 'layer4\.2\.conv3"):
        layer_widths("resnet152", ("layer4.2.conv33",), 64, 64)


def test_small_pictures_work_and_smaller_ones_are_refused():
    with pytest.raises(ParameterError, match=r"images of 16 x 16.*alexnet.*own size is 227"):
        layer_widths("alexnet", ("fc7",), 16, 16)
    with pytest.raises(ParameterError, match=r"64 x 64.*vit_b_32.*own size is 224"):
        layer_widths("vit_b_32", ("logits",), 64, 64)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "convnext_tiny", "googlenet-bvlc"])
def test_random_weights_depend_on_the_seed_alone(images, name):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build_network(name, weights="random", random_state=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    again = build_network(name, weights="random", random_state=1)
    other = build_network(name, weights="random", random_state=2)
    logits = answer(first, images, "logits")
    assert torch.isfinite(logits).all() and logits.std() > 0
    assert torch.equal(logits, answer(again, images, "logits"))
    assert not torch.equal(logits, answer(other, images, "logits"))
    assert first.weights_id == "random:1" != other.weights_id


def test_random_weights_keep_the_variance_through_the_layers(alexnet):
    for module in alexnet.model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.02)
            assert not module.bias.any()


def test_a_seed_that_is_no_number_is_refused():
    with pytest.raises(ParameterError, match="random_state: found None, expected an integer >= 0"):
        build_network("alexnet", weights="random", random_state=None)


def test_weights_of_another_network_are_refused(tmp_path, alexnet):
    path = tmp_path / "weights.safetensors"
    state = {key: value[:1].clone() for key, value in alexnet.model.state_dict().items()}
    safetensors.torch.save_file(state, path)
    with pytest.raises(
        WeightsError, match=r"no weights of squeezenet1_1: \d+ missing \(features.3"
    ):
        build_network("squeezenet1_1", weights=path)


def test_conventions_are_those_of_the_weights():
    red = torch.tensor([255, 0, 10], dtype=torch.uint8).reshape(1, 1, 1, 3)
    caffe = input_convention("googlenet-bvlc")(red).flatten()
    assert caffe.tolist() == [10 - 104, 0 - 117, 255 - 123]
    normal = input_convention("vgg16")(red).flatten()
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (10 / 255 - 0.406) / 0.225]
    assert normal.tolist() == pytest.approx(expected, rel=1e-6)
    assert input_convention("efficientnet_v2_l").mean == (0.5, 0.5, 0.5)
    with pytest.raises(ParameterError, match="'deepspectrum' for googlenet-bvlc"):
        input_convention("googlenet-bvlc", "deepspectrum")


def test_deepspectrum_inputs_are_those_of_the_tool(reference_data):
    path = reference_data / "deepspectrum" / "net_inputs__mel128_viridis__s000.npz"
    with np.load(path, allow_pickle=False) as inputs:
        for name, image, expected in [
            ("alexnet", inputs["plot"], inputs["alexnet_input"][0]),
            ("vgg16", inputs["keras_resized_224_rgb"], inputs["vgg_input"].transpose(2, 0, 1)),
        ]:
            found = input_convention(name, "deepspectrum")(torch.from_numpy(image[None]))[0]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
            assert image.shape[0] == input_size(name)


def test_table_4_1_is_what_is_built(alexnet):
    table = describe_layers(build_network("vgg19", weights="random"))
    conv = table[table["kind"] == "conv"]
    assert conv["channels"].tolist() == [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    assert set(conv["kernel"]) == {3} and set(conv["stride"]) == {1}
    assert (table["kind"] == "maxpooling").sum() == 5
    table = describe_layers(alexnet)
    conv = table[table["kind"] == "conv"]
    assert conv["kernel"].tolist() == [11, 5, 3, 3, 3]
    assert "64-192-384-256-256" in table.attrs["variant"]
    assert "-".join(map(str, conv["channels"])) == "64-192-384-256-256"
    named = table[table["name"] != ""]
    assert named["name"].tolist() == ["fc6", "fc7"]
    assert named["kind"].tolist() == ["fully connected"] * 2
    assert named["channels"].tolist() == [4096, 4096]


def test_the_caffe_googlenet_has_the_published_layers():
    table = describe_layers(build_network("googlenet-bvlc", weights="random"))
    assert table["kind"].isin(["conv", "fully connected"]).sum() == 58
    assert table.loc[table["name"] == "pool", "layer"].tolist() == ["pool5"]
