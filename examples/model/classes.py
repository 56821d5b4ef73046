"""The 114 things the demo model knows: a label and the code point of its emoji each.

The place in this list is the class index, so the order is part of the model.
"""

_ANIMALS = """
dog 1F436, cat 1F431, mouse 1F42D, rabbit 1F430, fox 1F98A, bear 1F43B, panda 1F43C, koala 1F428,
tiger 1F42F, lion 1F981, cow 1F42E, pig 1F437, frog 1F438, monkey 1F435, chicken 1F414,
penguin 1F427, owl 1F989, duck 1F986, unicorn 1F984, zebra 1F993, giraffe 1F992, elephant 1F418,
camel 1F42B, crocodile 1F40A, turtle 1F422, snake 1F40D, dolphin 1F42C, shark 1F988,
octopus 1F419, tropical fish 1F420, crab 1F980, snail 1F40C, butterfly 1F98B, bee 1F41D,
ladybug 1F41E, spider 1F577
"""

_FOOD = """
apple 1F34E, pear 1F350, orange 1F34A, lemon 1F34B, banana 1F34C, watermelon 1F349, grapes 1F347,
strawberry 1F353, cherries 1F352, pineapple 1F34D, eggplant 1F346, avocado 1F951, broccoli 1F966,
carrot 1F955, corn 1F33D, mushroom 1F344, bread 1F35E, croissant 1F950, cheese 1F9C0,
hamburger 1F354, french fries 1F35F, pizza 1F355, hot dog 1F32D, fried egg 1F373,
ice cream 1F366, doughnut 1F369, cookie 1F36A, birthday cake 1F382, coffee cup 2615
"""

_VEHICLES = """
car 1F697, bus 1F68C, fire engine 1F692, tractor 1F69C, bicycle 1F6B2, motorcycle 1F3CD,
airplane 2708, helicopter 1F681, rocket 1F680, sailboat 26F5, ship 1F6A2, steam locomotive 1F682
"""

_THINGS = """
umbrella 2602, alarm clock 23F0, camera 1F4F7, telephone 260E, television 1F4FA, laptop 1F4BB,
light bulb 1F4A1, book 1F4D5, pencil 270F, scissors 2702, key 1F511, padlock 1F512, hammer 1F528,
guitar 1F3B8, trumpet 1F3BA, drum 1F941, soccer ball 26BD, basketball 1F3C0, balloon 1F388,
gift 1F381, crown 1F451, backpack 1F392, running shoe 1F45F, top hat 1F3A9, glasses 1F453,
house 1F3E0, tree 1F333, cactus 1F335, sunflower 1F33B, rose 1F339, chair 1FA91, magnet 1F9F2,
microscope 1F52C, snowman 26C4, teddy bear 1F9F8, anchor 2693, bell 1F514
"""


def _parse(table):
    pairs = [entry.split() for entry in table.replace("\n", " ").split(",")]
    return [(" ".join(words[:-1]), chr(int(words[-1], 16))) for words in pairs]


CLASSES = [pair for table in (_ANIMALS, _FOOD, _VEHICLES, _THINGS) for pair in _parse(table)]
LABELS = [label for label, _ in CLASSES]

assert len(CLASSES) == 114 and len(set(LABELS)) == 114
